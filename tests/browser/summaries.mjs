// Makes summaries that are seldom run into: a long run, one with many failures, one full of foreign text, one of merged
// shards.
//
//   node summaries.mjs FOLDER      FOLDER holds both.json, the summary of a run of both services

import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const folder = process.argv[2];
const both = readFileSync(join(folder, 'both.json'), 'utf8');

/** A copy of the real summary, changed and written under this name. */
function write(name, change) {
    const summary = JSON.parse(both);
    change(summary);
    writeFileSync(join(folder, `${name}.json`), JSON.stringify(summary));
}

/** A value that goes up and down around a level, the same in every run of this script. */
const wave = (level, i) => Math.round(level * (1 + 0.2 * Math.sin(i / 7) + 0.1 * Math.sin(i * 2.3)));

/** 300 intervals of 12 seconds: an hour. */
function lasting(summary) {
    const percentiles = (level) => ({
        p50: level, p90: level * 1.8, p99: level * 6, p999: level * 15, max: level * 40, mean: level * 1.2,
    });
    const service = (i, writes, units, pending) => ({
        succeeded: wave(writes * 12, i),
        failed: i % 50 === 7 ? 3 : 0,
        throttled: wave(units * 8, i),
        pending: wave(pending, i),
        request_units: wave(units * 180_000, i),
        service_time_ms: i % 90 === 40 ? null : percentiles(wave(4, i) + 0.4),
        response_time_ms: i % 90 === 40 ? null : percentiles(wave(9, i) + 0.4),
    });
    summary.series.interval_seconds = 12;
    summary.series.points = Array.from({ length: 300 }, (_, i) => ({
        elapsed_seconds: 12 * (i + 1),
        seconds: 12,
        requested: wave(12_000, i),
        services: { event_hubs: service(i, 1_234_567, 0, 900), cosmos_db: service(i, 1_000, 1, 100_000) },
    }));
    summary.wall_seconds = 3600;
}

write('long', lasting);

write('failed', (summary) => {
    const kinds = ['timeout', 'connection', 'unavailable', 'throttled', 'too_large'];
    const host = `a-very-long-account-name-${'x'.repeat(80)}.documents.azure.com`;
    for (const service of Object.values(summary.services)) {
        service.failures = Object.fromEntries(kinds.map((kind, i) => [kind, 10 ** i]));
        service.failed = 11_111;
        service.succeeded = 0;
        service.failure_examples = kinds.flatMap((kind, i) =>
            Array.from({ length: Math.min(5, 10 ** i) }, (_, row) => ({
                row: row * 1_000_003 + 1,
                kind,
                status: i % 2 === 0 ? 'amqp:link:message-size-exceeded' : null,
                message: `no answer within 30s from https://${host}:443/ after 9 attempts`,
                ambiguous: i % 2 === 0,
            })));
    }
    summary.stop_reason = 'interrupted';
    summary.interrupted = true;
});

write('foreign', (summary) => {
    lasting(summary);
    const evil = '<script>console.log("ran")</script><img src=x onerror=alert(1)>"\'&';
    summary.data.file = `/a/long/path/${'without-a-space'.repeat(20)}/${evil}`;
    summary.settings = summary.settings.map(({ source }) => ({ key: evil, value: `${evil}${'v'.repeat(300)}`, source }));
    // One key that outgrows its partition, and many of the longest names.
    summary.partition_keys = Object.fromEntries([
        ['us', 900_000],
        ...Array.from({ length: 255 }, (_, i) => [`${evil}${i}${'k'.repeat(40)}`, 1000 - i]),
    ]);
    summary.other_partition_keys = 12_345;
    summary.services.cosmos_db.target.container.provisioned_request_units_per_second = 100_000;
    summary.services.cosmos_db.target.container.physical_partitions = null;
    summary.services.cosmos_db.writes_per_second = 0.123;
});

write('merged', (summary) => {
    // Percentiles of several processes cannot be added.
    for (const point of summary.series.points) {
        for (const service of Object.values(point.services)) {
            service.service_time_ms = null;
            service.response_time_ms = null;
        }
    }
    for (const service of Object.values(summary.services)) {
        service.target = null;
    }
    summary.data = null;
    summary.settings = [];
});
