//! The table read back.

use std::collections::HashMap;
use std::sync::Arc;

use deltalake_core::arrow::array::{Array, ArrayRef, AsArray as _, RecordBatch, StringArray};
use deltalake_core::arrow::compute::cast;
use deltalake_core::arrow::datatypes::{
    DataType, Float64Type, Int32Type, Int64Type, Schema, TimeUnit, TimestampMicrosecondType,
};
use deltalake_core::datafile::reader::{ParquetFileReader, ParquetTableReader};
use deltalake_core::datafile::{BatchStream, DataFileReader as _, DeltaDataReader as _, ReadOptions};
use deltalake_core::{DeltaTable, DeltaTableError};
use futures_util::{StreamExt as _, TryFutureExt as _, TryStreamExt as _};
use serde_json::{Map, Value};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::columns::{EXTRA, Kind, Layout, TRANSACTION};
use crate::error::LakeError;
use crate::location::Store;

/// Files of a partitioned table that are read at a time.
const FILES_AT_ONCE: usize = 4;

/// A row, as the event that it was.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The partition that it was in.
    pub partition: u32,
    /// Its number there.
    pub sequence_number: i64,
    /// Its JSON. A date that is null in the table is an empty string, as txgen sends it.
    pub document: Map<String, Value>,
}

/// Reads a table that txgen wrote.
pub struct Reader {
    name: String,
    table: DeltaTable,
}

impl Reader {
    /// Opens the table's newest version.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn open(name: &str, store: &Store) -> Result<Self, LakeError> {
        let mut table = DeltaTable::new(store.log().map_err(|error| LakeError::of(name, &error))?);
        match table.load().await {
            Ok(()) => Ok(Self { name: name.to_owned(), table }),
            Err(DeltaTableError::NotATable(_)) => Err(LakeError::NoTable(name.to_owned())),
            Err(error) => Err(LakeError::of(name, &error)),
        }
    }

    /// The version that is read.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.table.version().unwrap_or_default()
    }

    /// Hands over every row, in no order.
    ///
    /// # Errors
    /// When the store fails, or the table has other columns than txgen's.
    pub async fn rows(&self, take: &mut (dyn FnMut(Row) + Send)) -> Result<(), LakeError> {
        let fail = |error: DeltaTableError| LakeError::of(&self.name, &error);
        let mut batches = self.batches().await.map_err(fail)?;
        while let Some(batch) = batches.next().await {
            let batch = batch.map_err(fail)?;
            let columns = Columns::of(&batch).ok_or_else(|| LakeError::Foreign(self.name.clone()))?;
            for row in 0..batch.num_rows() {
                take(columns.row(row));
            }
        }
        Ok(())
    }

    async fn batches(&self) -> Result<BatchStream, DeltaTableError> {
        let snapshot = self.table.snapshot()?;
        if snapshot.metadata().partition_columns().is_empty() {
            return ParquetTableReader::try_new(&self.table).await?.read(ReadOptions::default()).await;
        }
        // The library's reader of tables takes none that is partitioned: the values are in the log, not in the files.
        let log = self.table.log_store();
        let mut files = Vec::new();
        let mut views = snapshot.snapshot().file_views(log.as_ref(), None);
        while let Some(file) = views.try_next().await? {
            if file.deletion_vector_descriptor().is_some() {
                return Err(DeltaTableError::generic(
                    "rows of it were deleted by deletion vectors, which are not read here",
                ));
            }
            files.push((file.object_store_path(), file.partition_values_map()));
        }
        let reader = ParquetFileReader::new(log.object_store(None));
        let batches = futures_util::stream::iter(files).flat_map_unordered(FILES_AT_ONCE, move |(path, partition)| {
            let reader = reader.clone();
            let opened = async move { reader.read_file(path).await };
            opened.try_flatten_stream().map(move |batch| with_partition(&batch?, &partition)).boxed()
        });
        Ok(batches.boxed())
    }
}

/// The batch with the columns that the table is partitioned by.
fn with_partition(
    batch: &RecordBatch,
    partition: &HashMap<String, Option<String>>,
) -> Result<RecordBatch, DeltaTableError> {
    let table = Layout::Transactions.arrow();
    let mut fields = batch.schema().fields().to_vec();
    let mut columns = batch.columns().to_vec();
    for field in table.fields() {
        if let Some(value) = partition.get(field.name()) {
            let text: ArrayRef = Arc::new(StringArray::from(vec![value.as_deref(); batch.num_rows()]));
            fields.push(Arc::clone(field));
            columns.push(cast(&text, field.data_type())?);
        }
    }
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?)
}

/// A batch's columns, by their types.
struct Columns<'a> {
    properties: Vec<Property>,
    partition: &'a dyn Array,
    number: &'a dyn Array,
    extra: &'a dyn Array,
}

struct Property {
    name: &'static str,
    kind: Kind,
    values: ArrayRef,
}

impl<'a> Columns<'a> {
    fn of(batch: &'a RecordBatch) -> Option<Self> {
        let column = |name| batch.column_by_name(name).map(AsRef::as_ref);
        let mut properties = Vec::new();
        for wanted in TRANSACTION {
            let values = batch.column_by_name(wanted.name)?;
            let values = if wanted.kind == Kind::Moment { in_microseconds(values)? } else { Arc::clone(values) };
            let fits = match wanted.kind {
                Kind::Text => values.as_string_opt::<i32>().is_some(),
                Kind::Number => values.as_primitive_opt::<Float64Type>().is_some(),
                Kind::Integer => values.as_primitive_opt::<Int64Type>().is_some(),
                Kind::Boolean => values.as_boolean_opt().is_some(),
                Kind::Moment => values.as_primitive_opt::<TimestampMicrosecondType>().is_some(),
                Kind::Small | Kind::Binary => false,
            };
            if !fits {
                return None;
            }
            properties.push(Property { name: wanted.name, kind: wanted.kind, values });
        }
        let (partition, number, extra) = (column("_partition")?, column("_sequenceNumber")?, column(EXTRA.name)?);
        partition.as_primitive_opt::<Int32Type>()?;
        number.as_primitive_opt::<Int64Type>()?;
        extra.as_string_opt::<i32>()?;
        Some(Self { properties, partition, number, extra })
    }

    fn row(&self, row: usize) -> Row {
        let mut document = Map::new();
        for Property { name, kind, values } in &self.properties {
            let value = match (kind, values.is_null(row)) {
                (Kind::Moment, true) => Value::from(""),
                (_, true) => continue,
                (Kind::Number, _) => Value::from(values.as_primitive::<Float64Type>().value(row)),
                (Kind::Integer, _) => Value::from(values.as_primitive::<Int64Type>().value(row)),
                (Kind::Boolean, _) => Value::from(values.as_boolean().value(row)),
                (Kind::Moment, _) => Value::from(moment(values.as_primitive::<TimestampMicrosecondType>().value(row))),
                _ => Value::from(values.as_string::<i32>().value(row)),
            };
            document.insert((*name).to_owned(), value);
        }
        if !self.extra.is_null(row)
            && let Ok(Value::Object(extra)) = serde_json::from_str(self.extra.as_string::<i32>().value(row))
        {
            document.extend(extra);
        }
        Row {
            partition: self.partition.as_primitive::<Int32Type>().value(row).cast_unsigned(),
            sequence_number: self.number.as_primitive::<Int64Type>().value(row),
            document,
        }
    }
}

/// A column of moments in the unit of txgen's. Other writers take another one: Spark's default, INT96, is read as nanoseconds.
fn in_microseconds(values: &ArrayRef) -> Option<ArrayRef> {
    match values.data_type() {
        DataType::Timestamp(TimeUnit::Microsecond, _) => Some(Arc::clone(values)),
        DataType::Timestamp(_, zone) => cast(values, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone())).ok(),
        _ => None,
    }
}

/// As txgen writes it: without a zone, and with a fraction of a second only where there is one.
fn moment(micros: i64) -> String {
    let whole = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]");
    let fractional = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]");
    let Ok(moment) = OffsetDateTime::from_unix_timestamp_nanos(i128::from(micros) * 1_000) else {
        return micros.to_string();
    };
    let format: &[_] = if moment.microsecond() == 0 { whole } else { fractional };
    moment.format(format).unwrap_or_else(|_| micros.to_string())
}

#[cfg(test)]
mod tests {
    use deltalake_core::arrow::array::{TimestampNanosecondArray, new_null_array};
    use deltalake_core::arrow::datatypes::Schema;

    use super::*;
    use crate::columns::Layout;

    #[test]
    fn moments_in_nanoseconds_are_read_as_those_in_microseconds() {
        let schema = Layout::Transactions.arrow();
        let columns = schema.fields().iter().map(|field| match field.name().as_str() {
            "transactionDateTime" => {
                Arc::new(TimestampNanosecondArray::from(vec![1_376_549_700_000_000_000])) as ArrayRef
            }
            _ => new_null_array(field.data_type(), 1),
        });
        let columns: Vec<ArrayRef> = columns.collect();
        let fields = schema.fields().iter().zip(&columns).map(|(field, column)| {
            field.as_ref().clone().with_data_type(column.data_type().clone()).with_nullable(true)
        });
        let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let batch = RecordBatch::try_new(schema, columns).unwrap();
        let row = Columns::of(&batch).unwrap().row(0);
        assert_eq!(row.document["transactionDateTime"], "2013-08-15T06:55:00");
    }
}
