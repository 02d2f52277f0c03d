//! Descriptors of performatives, of what is in them, and of the sections of messages.

/// `open` (section 2.7.1).
pub const OPEN: u64 = 0x10;
/// `begin` (section 2.7.2).
pub const BEGIN: u64 = 0x11;
/// `attach` (section 2.7.3).
pub const ATTACH: u64 = 0x12;
/// `flow` (section 2.7.4).
pub const FLOW: u64 = 0x13;
/// `transfer` (section 2.7.5).
pub const TRANSFER: u64 = 0x14;
/// `disposition` (section 2.7.6).
pub const DISPOSITION: u64 = 0x15;
/// `detach` (section 2.7.7).
pub const DETACH: u64 = 0x16;
/// `end` (section 2.7.8).
pub const END: u64 = 0x17;
/// `close` (section 2.7.9).
pub const CLOSE: u64 = 0x18;
/// `error` (section 2.8.14).
pub const ERROR: u64 = 0x1d;
/// `received` (section 3.4.1).
pub const RECEIVED: u64 = 0x23;
/// `accepted` (section 3.4.2).
pub const ACCEPTED: u64 = 0x24;
/// `rejected` (section 3.4.3).
pub const REJECTED: u64 = 0x25;
/// `released` (section 3.4.4).
pub const RELEASED: u64 = 0x26;
/// `modified` (section 3.4.5).
pub const MODIFIED: u64 = 0x27;
/// `source` (section 3.5.3).
pub const SOURCE: u64 = 0x28;
/// `target` (section 3.5.4).
pub const TARGET: u64 = 0x29;
/// `sasl-mechanisms` (section 5.3.3.1).
pub const SASL_MECHANISMS: u64 = 0x40;
/// `sasl-init` (section 5.3.3.2).
pub const SASL_INIT: u64 = 0x41;
/// `sasl-outcome` (section 5.3.3.5).
pub const SASL_OUTCOME: u64 = 0x44;
/// `header` (section 3.2.1).
pub const HEADER: u64 = 0x70;
/// `delivery-annotations` (section 3.2.2).
pub const DELIVERY_ANNOTATIONS: u64 = 0x71;
/// `message-annotations` (section 3.2.3).
pub const MESSAGE_ANNOTATIONS: u64 = 0x72;
/// `properties` (section 3.2.4).
pub const PROPERTIES: u64 = 0x73;
/// `application-properties` (section 3.2.5).
pub const APPLICATION_PROPERTIES: u64 = 0x74;
/// `data` (section 3.2.6).
pub const DATA: u64 = 0x75;
/// `amqp-sequence` (section 3.2.7).
pub const AMQP_SEQUENCE: u64 = 0x76;
/// `amqp-value` (section 3.2.8).
pub const AMQP_VALUE: u64 = 0x77;
/// `footer` (section 3.2.9).
pub const FOOTER: u64 = 0x78;
