//! Five million visits, once in the order of their dates and once shuffled.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use datafusion::arrow::array::{ArrayRef, Float64Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::parquet::arrow::ArrowWriter;
use datafusion::parquet::basic::Compression;
use datafusion::parquet::file::properties::WriterProperties;

/// Rows of each file.
pub(crate) const ROWS: i64 = 5_000_000;
/// People whose visits they are.
pub(crate) const SUBJECTS: i64 = 2_000_000;
/// The visits end at the bench's clock, 2026-06-01, and begin four years before.
const LAST_MICROS: i64 = 1_780_272_000_000_000;
const DAYS: i64 = 1_461;
const ROWS_PER_GROUP: usize = 250_000;
const ROWS_PER_BATCH: i64 = 50_000;
const CITIES: i64 = 60;
const NAMES: i64 = 40_000;

/// Writes the files that are not there yet.
pub(crate) fn generate(folder: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder)?;
    for (name, sorted) in [("sorted.parquet", true), ("shuffled.parquet", false)] {
        let path = folder.join(name);
        if !path.exists() {
            let unfinished = folder.join(format!("{name}.unfinished"));
            write(&unfinished, sorted).with_context(|| name.to_owned())?;
            std::fs::rename(&unfinished, &path)?;
        }
    }
    Ok(())
}

fn write(path: &Path, sorted: bool) -> anyhow::Result<()> {
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(ROWS_PER_GROUP)).set_compression(Compression::SNAPPY).build();
    let mut writer: Option<ArrowWriter<File>> = None;
    for first in (0..ROWS).step_by(usize::try_from(ROWS_PER_BATCH)?) {
        let batch = batch(first, sorted)?;
        let writer = match &mut writer {
            Some(writer) => writer,
            None => writer.insert(ArrowWriter::try_new(File::create(path)?, batch.schema(), Some(properties.clone()))?),
        };
        writer.write(&batch)?;
    }
    if let Some(writer) = writer {
        writer.close()?;
    }
    Ok(())
}

/// Spreads numbers; the same for the same number.
fn spread(number: i64) -> i64 {
    let mut mixed = number.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 32)).cast_signed() & i64::MAX
}

fn batch(first: i64, sorted: bool) -> anyhow::Result<RecordBatch> {
    let ids: Vec<i64> = (first..first + ROWS_PER_BATCH).collect();
    let texts = |make: &dyn Fn(i64) -> String| -> ArrayRef { Arc::new(ids.iter().map(|id| Some(make(*id))).collect::<StringArray>()) };
    let step = DAYS * 86_400_000_000 / ROWS;
    let created = ids.iter().map(|id| {
        let position = if sorted { *id } else { spread(id + 7) % ROWS };
        LAST_MICROS - (ROWS - position) * step
    });
    let name = |id: i64| spread(id) % NAMES;
    Ok(RecordBatch::try_from_iter([
        ("id", Arc::new(Int64Array::from(ids.clone())) as ArrayRef),
        ("subject_id", Arc::new(ids.iter().map(|id| spread(id + 3) % SUBJECTS).collect::<Int64Array>())),
        ("created_at", Arc::new(TimestampMicrosecondArray::from_iter_values(created).with_timezone("UTC"))),
        ("full_name", texts(&|id| format!("{} {}", given(name(id)), family(name(id))))),
        ("email", texts(&|id| format!("{}.{}@example-{}.org", given(name(id)), name(id), name(id) % 40).to_lowercase())),
        ("card", texts(&|id| format!("4{:015}", spread(id + 11) % 1_000_000_000_000_000))),
        ("city", texts(&|id| format!("City of {}", family(spread(id + 5) % CITIES)))),
        ("quantity", Arc::new(ids.iter().map(|id| i32::try_from(spread(id + 2) % 500).unwrap_or(0)).collect::<Int32Array>())),
        (
            "amount",
            Arc::new(
                ids.iter().map(|id| i32::try_from(spread(id + 1) % 1_000_000).map_or(0.0, f64::from) / 100.0).collect::<Float64Array>(),
            ),
        ),
    ])?)
}

fn given(number: i64) -> String {
    syllables(number % 200, 2)
}

fn family(number: i64) -> String {
    syllables(number / 200 + number, 3)
}

fn syllables(mut number: i64, count: usize) -> String {
    const SYLLABLES: [&str; 12] = ["an", "be", "co", "di", "el", "fa", "gu", "ho", "ir", "ja", "ko", "lu"];
    let mut text = String::new();
    for _ in 0..count {
        text.push_str(SYLLABLES.iter().cycle().nth(usize::try_from(number % 12).unwrap_or(0)).copied().unwrap_or_default());
        number /= 12;
    }
    text.get(..1).map(str::to_uppercase).unwrap_or_default() + text.get(1..).unwrap_or_default()
}
