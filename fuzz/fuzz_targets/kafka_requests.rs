#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| txgen_emulator::fuzzing::kafka_requests(data));
