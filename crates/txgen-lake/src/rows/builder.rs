//! Rows on their way into a batch.

use std::sync::Arc;

use deltalake_core::arrow::array::{
    ArrayRef, BinaryBuilder, BooleanBuilder, Float64Builder, Int32Builder, Int64Builder, RecordBatch, StringBuilder,
    TimestampMicrosecondBuilder,
};
use deltalake_core::arrow::datatypes::SchemaRef;
use deltalake_core::arrow::error::ArrowError;

use super::transaction::{self, Cell, Rejection};
use crate::columns::{Kind, Layout, TRANSACTION};
use crate::event::Event;

enum Builder {
    Text(StringBuilder),
    Number(Float64Builder),
    Integer(Int64Builder),
    Small(Int32Builder),
    Boolean(BooleanBuilder),
    Moment(TimestampMicrosecondBuilder),
    Binary(BinaryBuilder),
}

impl Builder {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Text => Self::Text(StringBuilder::new()),
            Kind::Number => Self::Number(Float64Builder::new()),
            Kind::Integer => Self::Integer(Int64Builder::new()),
            Kind::Small => Self::Small(Int32Builder::new()),
            Kind::Boolean => Self::Boolean(BooleanBuilder::new()),
            Kind::Moment => Self::Moment(TimestampMicrosecondBuilder::new().with_timezone("UTC")),
            Kind::Binary => Self::Binary(BinaryBuilder::new()),
        }
    }

    fn null(&mut self) {
        match self {
            Self::Text(builder) => builder.append_null(),
            Self::Number(builder) => builder.append_null(),
            Self::Integer(builder) => builder.append_null(),
            Self::Small(builder) => builder.append_null(),
            Self::Boolean(builder) => builder.append_null(),
            Self::Moment(builder) => builder.append_null(),
            Self::Binary(builder) => builder.append_null(),
        }
    }

    /// A cell of another kind than the column's, which [`transaction::read`] does not make, is null.
    fn push(&mut self, cell: Cell<'_>) {
        match (self, cell) {
            (Self::Text(builder), Cell::Text(text)) => builder.append_value(text),
            (Self::Number(builder), Cell::Number(number)) => builder.append_value(number),
            (Self::Integer(builder), Cell::Integer(number)) => builder.append_value(number),
            (Self::Boolean(builder), Cell::Boolean(value)) => builder.append_value(value),
            (Self::Moment(builder), Cell::Moment(micros)) => builder.append_value(micros),
            (builder, _) => builder.null(),
        }
    }

    fn text(&mut self, text: Option<&str>) {
        self.push(text.map_or(Cell::Null, |text| Cell::Text(text.into())));
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Number(builder) => Arc::new(builder.finish()),
            Self::Integer(builder) => Arc::new(builder.finish()),
            Self::Small(builder) => Arc::new(builder.finish()),
            Self::Boolean(builder) => Arc::new(builder.finish()),
            Self::Moment(builder) => Arc::new(builder.finish()),
            Self::Binary(builder) => Arc::new(builder.finish()),
        }
    }
}

/// Rows of one table that are not in a batch yet.
pub(crate) struct Rows {
    schema: SchemaRef,
    builders: Vec<Builder>,
    count: usize,
}

impl Rows {
    pub(crate) fn new(layout: Layout) -> Self {
        let builders = layout.columns().iter().map(|column| Builder::new(column.kind)).collect();
        Self { schema: layout.arrow(), builders, count: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Adds the transaction that an event is.
    pub(crate) fn push_transaction(&mut self, event: &Event) -> Result<(), Rejection> {
        let transaction = transaction::read(&event.body)?;
        for (builder, cell) in self.builders.iter_mut().zip(transaction.cells) {
            builder.push(cell);
        }
        self.push_position(TRANSACTION.len(), event);
        if let Some(extra) = self.builders.last_mut() {
            extra.text(transaction.extra.as_deref());
        }
        self.count += 1;
        Ok(())
    }

    /// Adds an event that is no transaction.
    pub(crate) fn push_rejected(&mut self, event: &Event, reason: &str) {
        self.push_position(0, event);
        if let [.., key, properties, Builder::Binary(body), why] = &mut self.builders[..] {
            key.text(event.partition_key.as_deref());
            properties.text(event.properties.as_deref());
            body.append_value(&event.body);
            why.text(Some(reason));
        }
        self.count += 1;
    }

    fn push_position(&mut self, at: usize, event: &Event) {
        if let [Builder::Small(partition), Builder::Integer(number), offset, enqueued, ..] = &mut self.builders[at..] {
            partition.append_value(event.partition.cast_signed());
            number.append_value(event.sequence_number);
            offset.text(event.offset.as_deref());
            enqueued.push(event.enqueued_unix_us.map_or(Cell::Null, Cell::Moment));
        }
    }

    /// Takes all rows.
    pub(crate) fn take(&mut self) -> Result<RecordBatch, ArrowError> {
        self.count = 0;
        let arrays = self.builders.iter_mut().map(Builder::finish).collect();
        RecordBatch::try_new(self.schema.clone(), arrays)
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use deltalake_core::arrow::array::{Array as _, AsArray as _};
    use deltalake_core::arrow::datatypes::{Int32Type, Int64Type, TimestampMicrosecondType};

    use super::*;

    fn event(body: &str) -> Event {
        Event {
            partition: 3,
            sequence_number: 7,
            offset: Some("4096".into()),
            enqueued_unix_us: Some(1_000_001),
            partition_key: Some("us".into()),
            properties: Some(r#"{"a":1}"#.into()),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    #[test]
    fn a_transaction_becomes_a_row_with_its_position() {
        let mut rows = Rows::new(Layout::Transactions);
        let body = r#"{"id":"i","transactionID":"t","accountID":"a","ipCountryCode":"us","localHour":5,"new":1}"#;
        rows.push_transaction(&event(body)).unwrap();
        assert!(rows.push_transaction(&event("{}")).is_err(), "a rejected event leaves no half row");
        rows.push_transaction(&event(body)).unwrap();
        let batch = rows.take().unwrap();
        assert_eq!((batch.num_rows(), batch.num_columns(), rows.len()), (2, 36, 0));
        let column = |name| batch.column_by_name(name).unwrap();
        assert_eq!(column("id").as_string::<i32>().value(0), "i");
        assert_eq!(column("localHour").as_primitive::<Int64Type>().value(1), 5);
        assert!(column("ipState").is_null(0));
        assert_eq!(column("_partition").as_primitive::<Int32Type>().value(0), 3);
        assert_eq!(column("_sequenceNumber").as_primitive::<Int64Type>().value(0), 7);
        assert_eq!(column("_offset").as_string::<i32>().value(0), "4096");
        assert_eq!(column("_enqueuedTime").as_primitive::<TimestampMicrosecondType>().value(0), 1_000_001);
        assert_eq!(column("_extra").as_string::<i32>().value(0), r#"{"new":1}"#);
    }

    #[test]
    fn a_rejected_event_is_kept_whole() {
        let mut rows = Rows::new(Layout::Rejected);
        rows.push_rejected(&event("no json"), "why");
        let batch = rows.take().unwrap();
        let column = |name| batch.column_by_name(name).unwrap();
        assert_eq!(column("body").as_binary::<i32>().value(0), b"no json");
        assert_eq!(column("partitionKey").as_string::<i32>().value(0), "us");
        assert_eq!(column("properties").as_string::<i32>().value(0), r#"{"a":1}"#);
        assert_eq!(column("reason").as_string::<i32>().value(0), "why");
        assert_eq!(column("_sequenceNumber").as_primitive::<Int64Type>().value(0), 7);
    }
}
