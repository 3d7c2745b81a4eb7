//! The people of the example, what they bought and what was sent to them.
//!
//! INVARIANT: what is drawn does not depend on the day, only dates do. So counts are the same on every day.

use std::collections::BTreeSet;

use chrono::{DateTime, Days, Duration, NaiveDate, NaiveTime, Utc};

use super::random::Random;

const CUSTOMERS: i64 = 3_000;
const CUSTOMER_FIRST: i64 = 1_001;
const TRANSACTIONS: i64 = 9_000;
const SHIPMENTS: usize = 6_000;
const EVENTS: i64 = 8_000;
/// Ages in days that are too near to the retention line of 730 days: nothing is that old.
const AGES_AVOIDED: std::ops::RangeInclusive<u32> = 726..=734;

const GIVEN: [&str; 32] = [
    "Ada", "Amina", "Anton", "Beatriz", "Bram", "Carmen", "Chidi", "Clara", "Daniel", "Elif", "Emeka", "Fatima", "Greta", "Hana", "Hugo",
    "Ines", "Ivan", "Jonas", "Kai", "Leila", "Lucas", "Maria", "Mateo", "Nadia", "Noah", "Olga", "Pierre", "Rosa", "Sven", "Tomás", "Wei",
    "Yuki",
];
const FAMILY: [&str; 32] = [
    "Abbas",
    "Andersson",
    "Bauer",
    "Costa",
    "Dubois",
    "Eriksen",
    "Fischer",
    "García",
    "Haddad",
    "Ito",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Martin",
    "Moreau",
    "Müller",
    "Nakamura",
    "Novak",
    "O'Brien",
    "Okafor",
    "Papadopoulos",
    "Petrov",
    "Rossi",
    "Santos",
    "Schmidt",
    "Silva",
    "Singh",
    "Tanaka",
    "Ueda",
    "van Dijk",
    "Weber",
    "Zhang",
];
const MAIL_DOMAINS: [(&str, u32); 5] =
    [("example.com", 50), ("example.org", 25), ("example.net", 15), ("mail.example", 7), ("post.example", 3)];
const TIERS: [(&str, u32); 4] = [("bronze", 50), ("silver", 30), ("gold", 15), ("platinum", 5)];
const COUNTRIES: [(&str, u32); 8] = [("DE", 25), ("US", 20), ("FR", 15), ("GB", 12), ("NL", 10), ("ES", 8), ("SE", 6), ("JP", 4)];
const METHODS: [(&str, u32); 4] = [("card", 60), ("wallet", 20), ("invoice", 12), ("bank_transfer", 8)];
const STATUSES: [(&str, u32); 3] = [("settled", 90), ("failed", 6), ("refunded", 4)];
const CARRIERS: [(&str, u32); 4] = [("DHL", 40), ("UPS", 30), ("GLS", 20), ("PostNord", 10)];
const EVENT_TYPES: [(&str, u32); 6] =
    [("log_in", 30), ("view_item", 40), ("add_to_cart", 12), ("purchase", 10), ("contact_support", 6), ("unsubscribe", 2)];
const CHANNELS: [(&str, u32); 4] = [("web", 45), ("ios", 25), ("android", 25), ("store", 5)];

/// A row of `customer-360`.
pub(super) struct Customer {
    pub(super) id: i64,
    pub(super) full_name: String,
    pub(super) email: String,
    pub(super) phone: String,
    pub(super) email_domain: Option<&'static str>,
    pub(super) tier: &'static str,
    pub(super) country: &'static str,
    pub(super) lifetime_value_cents: i64,
    pub(super) orders_count: i32,
    pub(super) marketing_consent: bool,
    pub(super) last_seen_at: DateTime<Utc>,
    pub(super) created_at: Option<DateTime<Utc>>,
    age_days: u32,
}

/// A row of `customer-events-v1`.
pub(super) struct Event {
    pub(super) id: i64,
    pub(super) customer_id: i64,
    pub(super) event_type: &'static str,
    pub(super) occurred_at: DateTime<Utc>,
    pub(super) channel: &'static str,
    pub(super) metadata: Option<String>,
}

/// A row of `transaction-events-v1`.
pub(super) struct Transaction {
    pub(super) id: i64,
    pub(super) customer_id: i64,
    pub(super) amount_cents: i64,
    pub(super) currency: &'static str,
    pub(super) status: &'static str,
    pub(super) payment_method: &'static str,
    pub(super) card_last4: Option<String>,
    pub(super) processed_at: DateTime<Utc>,
    pub(super) created_at: DateTime<Utc>,
}

/// A row of `shipment-events-v2`.
pub(super) struct Shipment {
    pub(super) id: i64,
    pub(super) customer_id: i64,
    pub(super) transaction_id: i64,
    pub(super) recipient_name: String,
    pub(super) carrier: &'static str,
    pub(super) status: &'static str,
    pub(super) weight_kg: f64,
    pub(super) expected_delivery: NaiveDate,
    pub(super) shipped_at: DateTime<Utc>,
    pub(super) delivered_at: Option<DateTime<Utc>>,
    pub(super) created_at: DateTime<Utc>,
}

/// All rows, and who has been erased.
pub(super) struct World {
    pub(super) today: NaiveDate,
    pub(super) customers: Vec<Customer>,
    pub(super) events: Vec<Event>,
    pub(super) transactions: Vec<Transaction>,
    pub(super) shipments: Vec<Shipment>,
    pub(super) erased: BTreeSet<i64>,
}

impl World {
    /// The rows as of that day; the newest are of the day before.
    pub(super) fn new(today: NaiveDate) -> Self {
        let mut people = Random::new(360);
        let mut customers: Vec<Customer> =
            (CUSTOMER_FIRST..CUSTOMER_FIRST + CUSTOMERS).map(|id| customer(id, today, &mut people)).collect();
        let erased = customers.iter().filter(|_| people.per_mille(20)).map(|customer| customer.id).collect();
        let transactions = transactions(&mut customers, today, &mut Random::new(1));
        let shipments = shipments(&customers, &transactions, today, &mut Random::new(2));
        let events = events(&customers, today, &mut Random::new(3));
        Self { today, customers, events, transactions, shipments, erased }
    }
}

/// Some second of the day that lies so many days back.
fn instant(today: NaiveDate, age_days: u32, random: &mut Random) -> DateTime<Utc> {
    let day = today.checked_sub_days(Days::new(u64::from(age_days))).unwrap_or(NaiveDate::MIN);
    day.and_time(NaiveTime::MIN).and_utc() + Duration::seconds(i64::from(random.below(86_400)))
}

/// The instant, or the last second before today if it is later.
fn no_later_than_yesterday(instant: DateTime<Utc>, today: NaiveDate) -> DateTime<Utc> {
    instant.min(today.and_time(NaiveTime::MIN).and_utc() - Duration::seconds(1))
}

fn age_within(age_max: u32, random: &mut Random) -> u32 {
    let age = random.between(1, age_max.max(1));
    if AGES_AVOIDED.contains(&age) { AGES_AVOIDED.start() - 1 } else { age }
}

fn customer(id: i64, today: NaiveDate, random: &mut Random) -> Customer {
    let (given, family) = (random.pick(&GIVEN), random.pick(&FAMILY));
    let domain = random.weighted(&MAIL_DOMAINS);
    let age_days = if random.per_mille(70) { random.between(735, 1_200) } else { random.between(3, 720) };
    let undated = random.per_mille(6);
    let created_at = instant(today, age_days, random);
    let seen_days = if random.per_mille(850) { random.between(1, 28) } else { random.between(29, 120) };
    let last_seen_at = instant(today, seen_days, random).max(created_at);
    Customer {
        id,
        full_name: format!("{given} {family}"),
        email: format!("{given}.{family}.{id}@{domain}"),
        phone: format!("+{}{:09}", random.between(30, 49), random.below(1_000_000_000)),
        email_domain: if random.per_mille(20) { None } else { Some(domain) },
        tier: random.weighted(&TIERS),
        country: random.weighted(&COUNTRIES),
        lifetime_value_cents: 0,
        orders_count: 0,
        marketing_consent: random.per_mille(620),
        last_seen_at,
        created_at: if undated { None } else { Some(created_at) },
        age_days,
    }
}

/// The customer that a drawn number stands for; the same few buy most.
fn draw<'a>(customers: &'a mut [Customer], random: &mut Random) -> Option<&'a mut Customer> {
    let count = u32::try_from(customers.len()).unwrap_or(u32::MAX);
    let bound = random.between(1, count);
    customers.get_mut(random.below(bound) as usize)
}

fn transactions(customers: &mut [Customer], today: NaiveDate, random: &mut Random) -> Vec<Transaction> {
    let mut rows = Vec::new();
    for id in 1..=TRANSACTIONS {
        let Some(customer) = draw(customers, random) else { break };
        let age_days = age_within(customer.age_days, random);
        let created_at = instant(today, age_days, random);
        let amount_cents = i64::from(random.between(495, 24_000)) * if random.per_mille(80) { 6 } else { 1 };
        let drawn_status = random.weighted(&STATUSES);
        let status = if age_days <= 2 && drawn_status == "settled" { "pending" } else { drawn_status };
        let payment_method = random.weighted(&METHODS);
        let digits = format!("{:04}", random.below(10_000));
        if status == "settled" {
            customer.lifetime_value_cents += amount_cents;
            customer.orders_count += 1;
        }
        rows.push(Transaction {
            id: 500_000 + id,
            customer_id: customer.id,
            amount_cents,
            currency: match customer.country {
                "US" => "USD",
                "GB" => "GBP",
                "SE" => "SEK",
                "JP" => "JPY",
                _ => "EUR",
            },
            status,
            payment_method,
            card_last4: (payment_method == "card").then_some(digits),
            processed_at: no_later_than_yesterday(created_at + Duration::seconds(i64::from(random.between(1, 90))), today),
            created_at,
        });
    }
    rows
}

fn shipments(customers: &[Customer], transactions: &[Transaction], today: NaiveDate, random: &mut Random) -> Vec<Shipment> {
    let shipped = transactions.iter().filter(|transaction| matches!(transaction.status, "settled" | "refunded")).take(SHIPMENTS);
    (700_001..).zip(shipped).map(|(id, transaction)| shipment(id, customers, transaction, today, random)).collect()
}

fn shipment(id: i64, customers: &[Customer], transaction: &Transaction, today: NaiveDate, random: &mut Random) -> Shipment {
    let index = usize::try_from(transaction.customer_id - CUSTOMER_FIRST).unwrap_or(usize::MAX);
    let recipient_name = customers.get(index).map(|customer| customer.full_name.clone()).unwrap_or_default();
    let created_at = no_later_than_yesterday(transaction.created_at + Duration::hours(i64::from(random.between(1, 12))), today);
    let shipped_at = no_later_than_yesterday(created_at + Duration::hours(i64::from(random.between(2, 24))), today);
    let promised_days = random.between(3, 5);
    let expected_delivery = shipped_at.date_naive().checked_add_days(Days::new(u64::from(promised_days))).unwrap_or(NaiveDate::MAX);
    let arrival = shipped_at + Duration::hours(i64::from(random.between(20, 140)));
    let fate = random.below(1000);
    let arrived = arrival.date_naive() < today;
    // What has not arrived by today is on its way; so the mix of states is the same on every day.
    let (status, delivered_at) = match fate {
        0..10 => ("lost", None),
        10..40 if arrived => ("returned", Some(arrival)),
        _ if arrived => ("delivered", Some(arrival)),
        _ if expected_delivery < today => ("delayed", None),
        _ => ("in_transit", None),
    };
    Shipment {
        id,
        customer_id: transaction.customer_id,
        transaction_id: transaction.id,
        recipient_name,
        carrier: random.weighted(&CARRIERS),
        status,
        weight_kg: f64::from(random.between(1, 300)) / 10.0,
        expected_delivery,
        shipped_at,
        delivered_at,
        created_at,
    }
}

fn events(customers: &[Customer], today: NaiveDate, random: &mut Random) -> Vec<Event> {
    let count = u32::try_from(customers.len()).unwrap_or(u32::MAX);
    let mut rows = Vec::new();
    for id in 1..=EVENTS {
        let Some(customer) = customers.get(random.below(count) as usize) else { break };
        let age_days = age_within(customer.age_days, random);
        let event_type = random.weighted(&EVENT_TYPES);
        let item = random.between(1, 400);
        rows.push(Event {
            id: 900_000 + id,
            customer_id: customer.id,
            event_type,
            occurred_at: instant(today, age_days, random),
            channel: random.weighted(&CHANNELS),
            metadata: matches!(event_type, "view_item" | "add_to_cart" | "purchase")
                .then(|| format!("{{\"item\": {item}, \"quantity\": {}}}", 1 + item % 3)),
        });
    }
    rows
}
