//! The columns of the two tables, in their order.

use std::sync::Arc;

use deltalake_core::arrow::datatypes::{DataType as ArrowType, Field, Schema, SchemaRef, TimeUnit};
use deltalake_core::kernel::{DataType, PrimitiveType, StructField};

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A string.
    Text,
    /// A number, as a double.
    Number,
    /// A whole number of 64 bits.
    Integer,
    /// A partition's number: a whole number of 32 bits.
    Small,
    /// `true` or `false`.
    Boolean,
    /// A moment in microseconds, in UTC. Never without a zone, which Fabric and Direct Lake refuse.
    Moment,
    /// Bytes as they came.
    Binary,
}

/// One column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name, in the JSON and in the table.
    pub name: &'static str,
    /// What it holds.
    pub kind: Kind,
    /// Whether every row has a value.
    pub required: bool,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, required: false }
}

const fn required(name: &'static str, kind: Kind) -> Column {
    Column { name, kind, required: true }
}

/// The properties of a transaction's JSON, in their order: `id`, the 28 columns of the record, `ttl`, `collectionType`.
pub const TRANSACTION: [Column; 31] = [
    required("id", Kind::Text),
    required("transactionID", Kind::Text),
    required("accountID", Kind::Text),
    column("transactionAmountUSD", Kind::Number),
    column("transactionAmount", Kind::Number),
    column("transactionCurrencyCode", Kind::Text),
    column("localHour", Kind::Integer),
    column("transactionIPaddress", Kind::Text),
    column("ipState", Kind::Text),
    column("ipPostcode", Kind::Text),
    required("ipCountryCode", Kind::Text),
    column("isProxyIP", Kind::Boolean),
    column("browserLanguage", Kind::Text),
    column("paymentInstrumentType", Kind::Text),
    column("cardType", Kind::Text),
    column("paymentBillingPostalCode", Kind::Text),
    column("paymentBillingState", Kind::Text),
    column("paymentBillingCountryCode", Kind::Text),
    column("cvvVerifyResult", Kind::Text),
    column("digitalItemCount", Kind::Integer),
    column("physicalItemCount", Kind::Integer),
    column("accountPostalCode", Kind::Text),
    column("accountState", Kind::Text),
    column("accountCountry", Kind::Text),
    column("accountAge", Kind::Integer),
    column("isUserRegistered", Kind::Boolean),
    column("paymentInstrumentAgeInAccount", Kind::Number),
    column("numPaymentRejects1dPerUser", Kind::Integer),
    column("transactionDateTime", Kind::Moment),
    column("ttl", Kind::Integer),
    column("collectionType", Kind::Text),
];

/// Where a row comes from, in both tables.
pub const POSITION: [Column; 4] = [
    required("_partition", Kind::Small),
    required("_sequenceNumber", Kind::Integer),
    column("_offset", Kind::Text),
    column("_enqueuedTime", Kind::Moment),
];

/// The properties of a transaction's JSON that the table has no column for, as a JSON object.
pub const EXTRA: Column = column("_extra", Kind::Text);

/// What the table of rejected events has besides [`POSITION`].
pub const REJECTED: [Column; 4] = [
    column("partitionKey", Kind::Text),
    column("properties", Kind::Text),
    required("body", Kind::Binary),
    required("reason", Kind::Text),
];

/// The columns that the log keeps minima and maxima of: those that readers filter by. All of them would make a log that
/// is many times as large.
pub(crate) const WITH_STATISTICS: [&str; 10] = [
    "id",
    "transactionAmountUSD",
    "transactionAmount",
    "localHour",
    "ipCountryCode",
    "accountCountry",
    "transactionDateTime",
    "_partition",
    "_sequenceNumber",
    "_enqueuedTime",
];

/// A table that txgen writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// The transactions.
    Transactions,
    /// The events that are none.
    Rejected,
}

impl Layout {
    /// Its columns, in their order.
    #[must_use]
    pub fn columns(self) -> Vec<Column> {
        match self {
            Self::Transactions => TRANSACTION.into_iter().chain(POSITION).chain([EXTRA]).collect(),
            Self::Rejected => POSITION.into_iter().chain(REJECTED).collect(),
        }
    }

    /// The schema of its batches.
    pub(crate) fn arrow(self) -> SchemaRef {
        let fields: Vec<Field> =
            self.columns().iter().map(|column| Field::new(column.name, arrow_type(column.kind), true)).collect();
        Arc::new(Schema::new(fields))
    }

    /// The schema of the table. All columns are nullable there, as Spark makes them: the protocol's writer version 2 knows
    /// `NOT NULL`, but readers that write to the table stumble over it.
    pub(crate) fn delta(self) -> Vec<StructField> {
        self.columns()
            .iter()
            .map(|column| StructField::new(column.name, DataType::Primitive(delta_type(column.kind)), true))
            .collect()
    }
}

fn arrow_type(kind: Kind) -> ArrowType {
    match kind {
        Kind::Text => ArrowType::Utf8,
        Kind::Number => ArrowType::Float64,
        Kind::Integer => ArrowType::Int64,
        Kind::Small => ArrowType::Int32,
        Kind::Boolean => ArrowType::Boolean,
        Kind::Moment => ArrowType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        Kind::Binary => ArrowType::Binary,
    }
}

fn delta_type(kind: Kind) -> PrimitiveType {
    match kind {
        Kind::Text => PrimitiveType::String,
        Kind::Number => PrimitiveType::Double,
        Kind::Integer => PrimitiveType::Long,
        Kind::Small => PrimitiveType::Integer,
        Kind::Boolean => PrimitiveType::Boolean,
        Kind::Moment => PrimitiveType::Timestamp,
        Kind::Binary => PrimitiveType::Binary,
    }
}
