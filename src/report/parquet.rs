//! Cases as Parquet: a row per case, the columns of `super::table`, every one optional, tags as a list.
//!
//! Equal cases give equal bytes: nothing but the cases and the library's own name is written.

use std::sync::Arc;

use parquet::basic::{Compression, ConvertedType, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;

use super::Report;
use super::html::Shown;
use super::table::{Cell, Column, Kind, Table};
use crate::error::{Error, Result};

/// Rows of a row group: what is held in memory at a time.
const ROWS: usize = 10_000;

/// The cases as a Parquet file.
///
/// # Errors
/// Those of the cases.
pub fn render(report: &Report<'_>, mut cases: impl Iterator<Item = Result<Shown>>) -> Result<Vec<u8>> {
    let table = Table::of(report);
    let columns = table.columns();
    let failed = |e: ParquetError| Error::internal("failed to write Parquet").caused_by(e);
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let schema = Arc::new(schema(&columns).map_err(failed)?);
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).map_err(failed)?;
    loop {
        let rows = cases.by_ref().take(ROWS).map(|case| Ok(table.row(&case?))).collect::<Result<Vec<_>>>()?;
        if rows.is_empty() {
            break;
        }
        let mut group = writer.next_row_group().map_err(failed)?;
        for (at, column) in columns.iter().enumerate() {
            let cells: Vec<&Cell> = rows.iter().map(|row| &row[at]).collect();
            write(&mut group, column.kind, &cells).map_err(failed)?;
        }
        group.close().map_err(failed)?;
    }
    writer.into_inner().map_err(failed)
}

fn schema(columns: &[Column]) -> Result<Type, ParquetError> {
    let text = |name: &str, repetition| {
        Type::primitive_type_builder(name, Physical::BYTE_ARRAY)
            .with_repetition(repetition)
            .with_logical_type(Some(LogicalType::String))
            .with_converted_type(ConvertedType::UTF8)
            .build()
    };
    let plain =
        |name: &str, kind| Type::primitive_type_builder(name, kind).with_repetition(Repetition::OPTIONAL).build();
    let field = |column: &Column| {
        let name = column.name.as_str();
        Ok(Arc::new(match column.kind {
            Kind::Text | Kind::Word => text(name, Repetition::OPTIONAL)?,
            Kind::Flag => plain(name, Physical::BOOLEAN)?,
            Kind::Integer => plain(name, Physical::INT64)?,
            Kind::Number => plain(name, Physical::DOUBLE)?,
            Kind::List => {
                let element = Arc::new(text("element", Repetition::REQUIRED)?);
                let list = Type::group_type_builder("list")
                    .with_repetition(Repetition::REPEATED)
                    .with_fields(vec![element])
                    .build()?;
                Type::group_type_builder(name)
                    .with_repetition(Repetition::REQUIRED)
                    .with_logical_type(Some(LogicalType::List))
                    .with_converted_type(ConvertedType::LIST)
                    .with_fields(vec![Arc::new(list)])
                    .build()?
            }
        }))
    };
    let fields = columns.iter().map(field).collect::<Result<Vec<_>, ParquetError>>()?;
    Type::group_type_builder("cases").with_fields(fields).build()
}

fn write(group: &mut SerializedRowGroupWriter<'_, Vec<u8>>, kind: Kind, cells: &[&Cell]) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else { return Ok(()) };
    let there: Vec<i16> = cells.iter().map(|cell| i16::from(!matches!(cell, Cell::Empty))).collect();
    match kind {
        Kind::Text | Kind::Word => {
            let values: Vec<ByteArray> = cells.iter().filter_map(|cell| Some(ByteArray::from(text(cell)?))).collect();
            column.typed::<ByteArrayType>().write_batch(&values, Some(&there), None)?;
        }
        Kind::Flag => {
            let values: Vec<bool> =
                cells.iter().filter_map(|cell| if let Cell::Flag(flag) = cell { Some(*flag) } else { None }).collect();
            column.typed::<BoolType>().write_batch(&values, Some(&there), None)?;
        }
        Kind::Integer => {
            let values: Vec<i64> =
                cells.iter().filter_map(|cell| if let Cell::Integer(n) = cell { Some(*n) } else { None }).collect();
            column.typed::<Int64Type>().write_batch(&values, Some(&there), None)?;
        }
        Kind::Number => {
            let values: Vec<f64> =
                cells.iter().filter_map(|cell| if let Cell::Number(n) = cell { Some(*n) } else { None }).collect();
            column.typed::<DoubleType>().write_batch(&values, Some(&there), None)?;
        }
        Kind::List => {
            // An empty list has one entry that is not there; the first entry of every list begins a new row.
            let (mut values, mut there, mut begins) = (Vec::new(), Vec::new(), Vec::new());
            for cell in cells {
                let list = if let Cell::List(list) = cell { list.as_slice() } else { &[] };
                if list.is_empty() {
                    there.push(0);
                    begins.push(0);
                }
                for (at, text) in list.iter().enumerate() {
                    values.push(ByteArray::from(text.as_str()));
                    there.push(1);
                    begins.push(i16::from(at > 0));
                }
            }
            column.typed::<ByteArrayType>().write_batch(&values, Some(&there), Some(&begins))?;
        }
    }
    column.close()
}

fn text(cell: &Cell) -> Option<&str> {
    if let Cell::Text(text) = cell { Some(text) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::table::tests::reports;
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::RowAccessor;

    #[test]
    fn rows_come_back() {
        reports(|report, cases| {
            let count = cases.len();
            let bytes = render(report, cases.into_iter().map(Ok)).unwrap();
            let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).unwrap();
            let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(Result::unwrap).collect();
            assert_eq!(rows.len(), count);
            let names: Vec<String> = rows[0].get_column_iter().map(|(name, _)| name.clone()).collect();
            assert_eq!(names, Table::of(report).columns().into_iter().map(|c| c.name).collect::<Vec<_>>());
            let place = |name: &str| names.iter().position(|other| other == name).unwrap();
            assert_eq!(rows[0].get_string(place("id")).unwrap(), "1");
            if report.comparison.is_some() {
                assert!(rows[0].get_string(place("output")).unwrap().starts_with("=cmd"));
                assert_eq!(rows[0].get_list(place("tags")).unwrap().len(), 2);
                assert_eq!(rows[1].get_list(place("tags")).unwrap().len(), 0);
                assert!(rows[1].is_null(place("passed")).unwrap());
                assert_eq!(rows[1].get_double(place("base.match.value")).unwrap(), 1.0);
            } else {
                assert!(rows[0].get_bool(place("match.passed")).unwrap());
                assert!(rows[1].is_null(place("match.passed")).unwrap());
            }
        });
    }

    #[test]
    fn equal_cases_give_equal_bytes() {
        reports(|report, cases| {
            let twice = cases.len();
            let one = render(report, cases.into_iter().map(Ok)).unwrap();
            assert!(one.starts_with(b"PAR1") && one.ends_with(b"PAR1") && twice == 2);
        });
        assert_eq!(
            render(&Report::default(), std::iter::empty()).unwrap(),
            render(&Report::default(), std::iter::empty()).unwrap()
        );
    }
}
