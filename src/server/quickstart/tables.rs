//! The example's rows as the files hold them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray,
};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use chrono::{DateTime, Datelike, Days, NaiveDate, Utc};
use sha2::{Digest, Sha256};

use super::files::CsvFile;
use super::world::{Customer, Event, Shipment, Transaction};

/// How far back the daily revenue goes.
const REVENUE_DAYS: u64 = 365;
/// How far back the monthly figures go.
const KPI_DAYS: u64 = 540;

fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn cents_to_text(cents: i64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

fn instant_to_text(instant: DateTime<Utc>) -> String {
    instant.format("%Y-%m-%d %H:%M:%S+00:00").to_string()
}

fn texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(values.collect::<StringArray>())
}

fn instants(values: impl Iterator<Item = Option<DateTime<Utc>>>) -> ArrayRef {
    let micros: TimestampMicrosecondArray = values.map(|value| value.map(|instant| instant.timestamp_micros())).collect();
    Arc::new(micros.with_timezone("UTC"))
}

fn days(values: impl Iterator<Item = NaiveDate>) -> ArrayRef {
    let epoch = NaiveDate::default();
    let days = values.map(|day| i32::try_from((day - epoch).num_days()).unwrap_or_default());
    Arc::new(Date32Array::from_iter_values(days))
}

/// `customer-360` as Arrow.
pub(super) fn customers_to_batch(rows: &[Customer]) -> Result<RecordBatch, ArrowError> {
    let email_hashes: Vec<String> = rows.iter().map(|row| sha256_hex(&row.email)).collect();
    let phone_hashes: Vec<String> = rows.iter().map(|row| sha256_hex(&row.phone)).collect();
    let values = rows.iter().map(|row| i128::from(row.lifetime_value_cents));
    RecordBatch::try_from_iter_with_nullable([
        ("customer_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.id))) as ArrayRef, false),
        ("full_name", texts(rows.iter().map(|row| Some(row.full_name.as_str()))), true),
        ("email_hash", texts(email_hashes.iter().map(|hash| Some(hash.as_str()))), true),
        ("phone_hash", texts(phone_hashes.iter().map(|hash| Some(hash.as_str()))), true),
        ("email_domain", texts(rows.iter().map(|row| row.email_domain)), true),
        ("tier", texts(rows.iter().map(|row| Some(row.tier))), false),
        ("country", texts(rows.iter().map(|row| Some(row.country))), false),
        ("lifetime_value_usd", Arc::new(Decimal128Array::from_iter_values(values).with_precision_and_scale(12, 2)?), false),
        ("orders_count", Arc::new(Int32Array::from_iter_values(rows.iter().map(|row| row.orders_count))), false),
        ("marketing_consent", Arc::new(rows.iter().map(|row| Some(row.marketing_consent)).collect::<BooleanArray>()), false),
        ("last_seen_at", instants(rows.iter().map(|row| Some(row.last_seen_at))), true),
        ("created_at", instants(rows.iter().map(|row| row.created_at)), true),
    ])
}

/// `customer-360` as CSV.
pub(super) fn customers_to_csv(rows: &[Customer]) -> CsvFile {
    let mut file = CsvFile::new(&[
        "customer_id",
        "full_name",
        "email_hash",
        "phone_hash",
        "email_domain",
        "tier",
        "country",
        "lifetime_value_usd",
        "orders_count",
        "marketing_consent",
        "last_seen_at",
        "created_at",
    ]);
    for row in rows {
        file.row(&[
            Some(row.id.to_string()),
            Some(row.full_name.clone()),
            Some(sha256_hex(&row.email)),
            Some(sha256_hex(&row.phone)),
            row.email_domain.map(str::to_owned),
            Some(row.tier.to_owned()),
            Some(row.country.to_owned()),
            Some(cents_to_text(row.lifetime_value_cents)),
            Some(row.orders_count.to_string()),
            Some(row.marketing_consent.to_string()),
            Some(instant_to_text(row.last_seen_at)),
            row.created_at.map(instant_to_text),
        ]);
    }
    file
}

/// `customer-events-v1` as CSV.
pub(super) fn events_to_csv(rows: &[Event]) -> CsvFile {
    let mut file = CsvFile::new(&["event_id", "customer_id", "event_type", "occurred_at", "channel", "metadata"]);
    for row in rows {
        file.row(&[
            Some(row.id.to_string()),
            Some(row.customer_id.to_string()),
            Some(row.event_type.to_owned()),
            Some(instant_to_text(row.occurred_at)),
            Some(row.channel.to_owned()),
            row.metadata.clone(),
        ]);
    }
    file
}

/// `transaction-events-v1` as CSV.
pub(super) fn transactions_to_csv(rows: &[Transaction]) -> CsvFile {
    let mut file = CsvFile::new(&[
        "transaction_id",
        "customer_id",
        "amount_usd",
        "currency",
        "status",
        "payment_method",
        "card_last4",
        "processed_at",
        "created_at",
    ]);
    for row in rows {
        file.row(&[
            Some(row.id.to_string()),
            Some(row.customer_id.to_string()),
            Some(cents_to_text(row.amount_cents)),
            Some(row.currency.to_owned()),
            Some(row.status.to_owned()),
            Some(row.payment_method.to_owned()),
            row.card_last4.clone(),
            Some(instant_to_text(row.processed_at)),
            Some(instant_to_text(row.created_at)),
        ]);
    }
    file
}

/// `revenue-daily-summary` as CSV: settled payments of the last year.
pub(super) fn revenue_to_csv(rows: &[Transaction], today: NaiveDate) -> CsvFile {
    let first = today.checked_sub_days(Days::new(REVENUE_DAYS)).unwrap_or(NaiveDate::MIN);
    let mut sums: BTreeMap<(NaiveDate, &str), (i64, i32)> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.status == "settled" && row.processed_at.date_naive() >= first) {
        let sum = sums.entry((row.processed_at.date_naive(), row.currency)).or_default();
        *sum = (sum.0 + row.amount_cents, sum.1 + 1);
    }
    let mut file = CsvFile::new(&["day", "currency", "revenue_usd", "payments_count"]);
    for ((day, currency), (cents, count)) in sums {
        file.row(&[Some(day.to_string()), Some(currency.to_owned()), Some(cents_to_text(cents)), Some(count.to_string())]);
    }
    file
}

/// `shipment-events-v2` as Arrow.
pub(super) fn shipments_to_batch(rows: &[Shipment]) -> Result<RecordBatch, ArrowError> {
    RecordBatch::try_from_iter_with_nullable([
        ("shipment_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.id))) as ArrayRef, false),
        ("customer_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.customer_id))), false),
        ("transaction_id", Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.transaction_id))), false),
        ("recipient_name", texts(rows.iter().map(|row| Some(row.recipient_name.as_str()))), true),
        ("carrier", texts(rows.iter().map(|row| Some(row.carrier))), false),
        ("shipment_status", texts(rows.iter().map(|row| Some(row.status))), false),
        ("weight_kg", Arc::new(Float64Array::from_iter_values(rows.iter().map(|row| row.weight_kg))), false),
        ("expected_delivery", days(rows.iter().map(|row| row.expected_delivery)), false),
        ("shipped_at", instants(rows.iter().map(|row| Some(row.shipped_at))), false),
        ("delivered_at", instants(rows.iter().map(|row| row.delivered_at)), true),
        ("created_at", instants(rows.iter().map(|row| Some(row.created_at))), false),
    ])
}

#[derive(Default)]
struct Kpi {
    shipments: i32,
    delivered: i32,
    on_time: i32,
    lost: i32,
}

/// `fulfillment-kpis` as Arrow: a row a month and carrier.
pub(super) fn kpis_to_batch(rows: &[Shipment], today: NaiveDate) -> Result<RecordBatch, ArrowError> {
    let first = today.checked_sub_days(Days::new(KPI_DAYS)).and_then(|day| day.with_day(1)).unwrap_or(NaiveDate::MIN);
    let mut kpis: BTreeMap<(NaiveDate, &str), Kpi> = BTreeMap::new();
    for row in rows {
        let month = row.shipped_at.date_naive().with_day(1).unwrap_or(NaiveDate::MIN);
        if month < first {
            continue;
        }
        let kpi = kpis.entry((month, row.carrier)).or_default();
        kpi.shipments += 1;
        kpi.lost += i32::from(row.status == "lost");
        if let Some(delivered_at) = row.delivered_at {
            kpi.delivered += 1;
            kpi.on_time += i32::from(delivered_at.date_naive() <= row.expected_delivery);
        }
    }
    let rates = kpis.values().map(|kpi| f64::from(kpi.on_time) / f64::from(kpi.shipments));
    RecordBatch::try_from_iter_with_nullable([
        ("month", days(kpis.keys().map(|(month, _)| *month)), false),
        ("carrier", texts(kpis.keys().map(|(_, carrier)| Some(*carrier))), false),
        ("shipments_count", Arc::new(Int32Array::from_iter_values(kpis.values().map(|kpi| kpi.shipments))) as ArrayRef, false),
        ("delivered_count", Arc::new(Int32Array::from_iter_values(kpis.values().map(|kpi| kpi.delivered))), false),
        ("on_time_rate", Arc::new(Float64Array::from_iter_values(rates)), false),
        ("lost_count", Arc::new(Int32Array::from_iter_values(kpis.values().map(|kpi| kpi.lost))), false),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cents_are_written_with_two_digits() {
        assert_eq!(cents_to_text(100_005), "1000.05");
    }

    #[test]
    fn an_instant_is_written_in_utc() {
        let instant = NaiveDate::from_ymd_opt(2026, 3, 1).unwrap().and_hms_opt(4, 5, 6).unwrap().and_utc();
        assert_eq!(instant_to_text(instant), "2026-03-01 04:05:06+00:00");
    }
}
