//! Writes the rows of the quickstart example: three domains, a few thousand rows each, as Parquet and CSV.
//!
//! The same rows every day but for their dates, which are relative to the day of the call, so that the example never ages:
//! one part is always past retention, and no row crosses the line of 730 days in the course of a day.
//! INVARIANT: a file is complete or not there, and the marker is written last; so a crash leaves work to redo, never half an example.
//! It does not know the contracts; `catalogs/` of the repository describes what is written here.

mod files;
mod random;
mod tables;
mod world;

use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

use files::{CsvFile, write_atomically, write_parquet};
use world::World;

/// Changes whenever what is written changes, so that an older example is written anew.
const FORMAT: &str = "meshgate quickstart 1";
/// Holds the format and the day of the files beside it.
const MARKER: &str = ".generated";

/// Why the example could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or folder could not be written.
    #[error("cannot write \"{path}\" of the quickstart example", path = path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Rows could not be encoded.
    #[error("cannot encode \"{path}\" of the quickstart example", path = path.display())]
    Encode {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What [`generate`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The files were written.
    Written,
    /// The files of this day were there already.
    Kept,
}

/// Writes the example's files into `data` unless those of the day of `now` are there.
pub fn generate(data: &Path, now: DateTime<Utc>) -> Result<Outcome, Error> {
    let marker = data.join(MARKER);
    let mark = format!("{FORMAT} {}\n", now.date_naive());
    if std::fs::read_to_string(&marker).is_ok_and(|text| text == mark) {
        return Ok(Outcome::Kept);
    }
    let world = World::new(now.date_naive());
    write_customer_domain(data, &world)?;
    write_payments_domain(data, &world)?;
    write_logistics_domain(data, &world)?;
    let mut erased = CsvFile::new(&["subject_id"]);
    for subject in &world.erased {
        erased.row(&[Some(subject.to_string())]);
    }
    erased.write(&data.join("erased_subjects.csv"))?;
    write_atomically(&marker, mark.as_bytes())?;
    Ok(Outcome::Written)
}

fn write_customer_domain(data: &Path, world: &World) -> Result<(), Error> {
    let folder = data.join("customer");
    write_parquet(&folder.join("customer_360.parquet"), || tables::customers_to_batch(&world.customers))?;
    tables::customers_to_csv(&world.customers).write(&folder.join("customer_360.csv"))?;
    tables::events_to_csv(&world.events).write(&folder.join("customer_events_v1.csv"))
}

fn write_payments_domain(data: &Path, world: &World) -> Result<(), Error> {
    let folder = data.join("payments");
    tables::transactions_to_csv(&world.transactions).write(&folder.join("transaction_events_v1.csv"))?;
    tables::revenue_to_csv(&world.transactions, world.today).write(&folder.join("revenue_daily_summary.csv"))
}

fn write_logistics_domain(data: &Path, world: &World) -> Result<(), Error> {
    let folder = data.join("logistics");
    write_parquet(&folder.join("shipment_events_v2.parquet"), || tables::shipments_to_batch(&world.shipments))?;
    write_parquet(&folder.join("fulfillment_kpis.parquet"), || tables::kpis_to_batch(&world.shipments, world.today))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::TimeZone;

    use super::*;

    fn at(day: u32, hour: u32) -> DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 3, day, hour, 30, 0).unwrap()
    }

    fn read(folder: &Path, file: &str) -> String {
        std::fs::read_to_string(folder.join(file)).unwrap()
    }

    fn column(text: &str, index: usize) -> Vec<String> {
        text.lines().skip(1).map(|line| line.split(',').nth(index).unwrap().to_owned()).collect()
    }

    #[test]
    fn files_of_the_same_day_are_kept_and_of_another_day_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(generate(folder.path(), at(1, 0)).unwrap(), Outcome::Written);
        let first = read(folder.path(), "payments/transaction_events_v1.csv");
        assert_eq!(generate(folder.path(), at(1, 23)).unwrap(), Outcome::Kept);
        assert_eq!(generate(folder.path(), at(2, 0)).unwrap(), Outcome::Written);
        let second = read(folder.path(), "payments/transaction_events_v1.csv");
        assert_ne!(first, second);
        assert_eq!(column(&first, 2), column(&second, 2), "only dates differ from day to day");
    }

    #[test]
    fn two_folders_of_one_day_are_equal_byte_for_byte() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        generate(one.path(), at(1, 0)).unwrap();
        generate(two.path(), at(1, 20)).unwrap();
        for file in [
            "customer/customer_360.parquet",
            "customer/customer_events_v1.csv",
            "logistics/shipment_events_v2.parquet",
            "erased_subjects.csv",
        ] {
            assert_eq!(std::fs::read(one.path().join(file)).unwrap(), std::fs::read(two.path().join(file)).unwrap(), "{file}");
        }
    }

    #[test]
    fn an_interrupted_example_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        generate(folder.path(), at(1, 0)).unwrap();
        std::fs::remove_file(folder.path().join(MARKER)).unwrap();
        std::fs::remove_file(folder.path().join("erased_subjects.csv")).unwrap();
        assert_eq!(generate(folder.path(), at(1, 1)).unwrap(), Outcome::Written);
        assert!(folder.path().join("erased_subjects.csv").exists());
    }

    #[test]
    fn hidden_rows_of_each_kind_are_in_it() {
        let world = World::new(at(1, 0).date_naive());
        let line = at(1, 12) - chrono::Duration::days(730);
        let expired = world.customers.iter().filter(|customer| customer.created_at.is_some_and(|date| date < line)).count();
        let undated = world.customers.iter().filter(|customer| customer.created_at.is_none()).count();
        assert!(expired > 50 && undated > 5 && world.erased.len() > 20, "{expired} {undated} {}", world.erased.len());
        assert!(world.transactions.iter().any(|transaction| transaction.created_at < line));
        assert!(world.shipments.iter().any(|shipment| shipment.created_at < line));
        let buyers: BTreeSet<i64> = world.transactions.iter().map(|transaction| transaction.customer_id).collect();
        assert!(world.erased.iter().any(|subject| buyers.contains(subject)));
    }

    #[test]
    fn no_row_is_within_a_day_of_the_retention_line_or_in_the_future() {
        let world = World::new(at(1, 0).date_naive());
        let dates = (world.customers.iter().filter_map(|customer| customer.created_at))
            .chain(world.transactions.iter().map(|transaction| transaction.created_at))
            .chain(world.shipments.iter().map(|shipment| shipment.created_at))
            .chain(world.events.iter().map(|event| event.occurred_at));
        for date in dates {
            let age = (at(1, 0) - date).num_hours();
            assert!(age >= 0 && (age - 730 * 24).abs() > 48, "{date}");
        }
    }
}
