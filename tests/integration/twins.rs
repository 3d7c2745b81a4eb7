//! The twin-world test: two gateways whose visible data is equal byte for byte and whose hidden data is not must be told apart by
//! nothing that a session sees.
//!
//! `twins/statements.txt` holds the statements; each is run in both worlds, over each kind of port, on products that mask and on
//! products that deny, and every message of the answers is compared: rows and their order, tags, all fields of errors and notices, the text of plans.

mod world;

use std::sync::Arc;

use crate::gateway::{Gateway, World};
use crate::raw::{Extended, Message, Raw};
use world::{Twin, now, world};

const STATEMENTS: &str = include_str!("twins/statements.txt");

/// Of a hundred statements, so many at least must answer rows; else the file says little.
const ANSWERED_PERCENT_MIN: usize = 75;

/// Statements that run in one session, one after the other.
type Block = Vec<Statement>;

enum Statement {
    Simple(String),
    Extended(String, Extended),
}

/// One of the tables that stand for `{t}`, `{p}` and `{m}`.
#[derive(Clone, Copy, Debug)]
struct Place {
    domain: &'static str,
    port: &'static str,
}

const PLACES: [Place; 7] = [
    Place { domain: "masked", port: "" },
    Place { domain: "masked", port: "__parquet" },
    Place { domain: "masked", port: "__parts" },
    Place { domain: "masked", port: "__postgres" },
    Place { domain: "denied", port: "" },
    Place { domain: "denied", port: "__parquet" },
    Place { domain: "denied", port: "__postgres" },
];

/// A line is a statement; an empty line ends a session; `#` begins a remark. `>>` sends by the extended protocol: `>>b` asks for binary
/// results, `>>3` for three rows at a time; what follows `<-` are the parameters, split at `,`.
fn blocks(place: Place) -> Vec<Block> {
    let mut blocks = vec![Vec::new()];
    for line in STATEMENTS.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
        match line {
            "" => blocks.push(Vec::new()),
            line => {
                let table = |name: &str| format!("{0}.{0}_{name}{1}", place.domain, place.port);
                let line = line.replace("{t}", &table("staff")).replace("{p}", &table("pay")).replace("{m}", &table("many"));
                blocks.last_mut().unwrap().push(statement(&line.replace("{d}", place.domain)));
            }
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

fn statement(line: &str) -> Statement {
    let Some(rest) = line.strip_prefix(">>") else { return Statement::Simple(line.to_owned()) };
    let (flags, rest) = rest.split_once(' ').unwrap();
    let (sql, values) = rest.split_once("<-").unwrap_or((rest, ""));
    let value = |text: &str| (text != "NULL").then(|| text.to_owned());
    let values = values.split(',').map(str::trim).filter(|text| !text.is_empty()).map(value).collect();
    let rows_max = flags.trim_matches('b').parse().unwrap_or(0);
    Statement::Extended(sql.trim().to_owned(), Extended { values, binary_results: flags.contains('b'), rows_max })
}

impl Statement {
    fn text(&self) -> &str {
        match self {
            Self::Simple(sql) | Self::Extended(sql, _) => sql,
        }
    }

    async fn run(&self, session: &mut Raw) -> Vec<Message> {
        let mut answer = match self {
            Self::Simple(sql) => session.simple(sql).await,
            Self::Extended(sql, how) => session.extended(sql, how).await,
        };
        answer.iter_mut().for_each(forget_durations);
        answer
    }
}

/// EXPLAIN ANALYZE tells how long it took, in more or fewer digits.
fn forget_durations(message: &mut Message) {
    let text = String::from_utf8_lossy(&message.body).into_owned();
    if let Some(at) = text.find("Time: ").filter(|_| message.kind == b'D' && text.ends_with(" ms")) {
        message.body = text[..at].chars().filter(|letter| letter.is_ascii_alphabetic()).collect::<String>().into_bytes();
    }
}

/// What became of the statements of a place.
#[derive(Default)]
struct Outcome {
    run: usize,
    answered: usize,
    /// The statements whose answers differ, and how.
    differing: Vec<String>,
    /// Internal errors: nothing of the kind may happen.
    internal: Vec<String>,
}

/// The first difference of two answers.
fn difference(full: &[Message], bare: &[Message]) -> Option<String> {
    let at = full.iter().zip(bare).position(|(one, other)| one != other);
    let at = at.or_else(|| (full.len() != bare.len()).then_some(full.len().min(bare.len())))?;
    let shown = |answer: &[Message]| answer.get(at).map_or("nothing more".to_owned(), Message::to_string);
    Some(format!("  message {at} of the full world: {:.600}\n  message {at} of the bare world: {:.600}", shown(full), shown(bare)))
}

async fn compare(twins: &Twins, user: &str, place: Place) -> Outcome {
    let mut outcome = Outcome::default();
    let Twins { full, bare, .. } = twins;
    let ((mut one, told), (mut other, told_other)) = tokio::join!(Raw::login(full.address(), user), Raw::login(bare.address(), user));
    outcome.differing.extend(difference(&told, &told_other));
    for block in blocks(place) {
        let alone = block.len() == 1;
        let after = ["ROLLBACK", "DISCARD ALL"].map(|sql| Statement::Simple(sql.to_owned()));
        let statements = block.len();
        for (index, statement) in block.into_iter().chain(after.into_iter().filter(|_| !alone)).enumerate() {
            let (full, bare) = tokio::join!(statement.run(&mut one), statement.run(&mut other));
            let of = |what: &str| format!("{place:?} {user}: {}\n{what}", statement.text());
            outcome.differing.extend(difference(&full, &bare).map(|difference| of(&difference)));
            let internal =
                full.iter().find(|message| message.kind == b'E' && message.field(b'C').is_some_and(|code| code.starts_with("XX")));
            outcome.internal.extend(internal.map(|message| of(&message.to_string())));
            if index < statements {
                outcome.run += 1;
                outcome.answered += usize::from(!full.iter().any(|message| message.kind == b'E'));
            }
        }
    }
    outcome
}

/// Both gateways, and the folders that they serve.
struct Twins {
    full: Gateway,
    bare: Gateway,
    _worlds: [World; 2],
}

async fn twins([full, bare]: [&'static str; 2]) -> Arc<Twins> {
    let (full, bare) = tokio::join!(world(Twin::Full, full), world(Twin::Bare, bare));
    Arc::new(Twins { full: full.serve_at(now()).await, bare: bare.serve_at(now()).await, _worlds: [full, bare] })
}

#[tokio::test(flavor = "multi_thread")]
async fn twins_are_told_apart_by_nothing() {
    let twins = twins(["meshgate_twins_full", "meshgate_twins_bare"]).await;
    let mut running = tokio::task::JoinSet::new();
    for place in PLACES {
        let twins = Arc::clone(&twins);
        running.spawn(async move { (place, compare(&twins, "analyst", place).await) });
    }
    let (mut faults, mut statements) = (Vec::new(), 0);
    while let Some(done) = running.join_next().await {
        let (place, outcome) = done.unwrap();
        statements = outcome.run;
        if place.domain == "masked" && outcome.answered * 100 < outcome.run * ANSWERED_PERCENT_MIN {
            faults.push(format!("{place:?}: {} of {} statements are answered", outcome.answered, outcome.run));
        }
        faults.extend(outcome.differing);
        faults.extend(outcome.internal);
    }
    assert!(statements >= 300, "{statements} statements");
    assert!(faults.is_empty(), "{} faults\n{}", faults.len(), faults.join("\n"));
}

/// Who may see what is hidden sees that the worlds differ, and so does the comparison.
#[tokio::test(flavor = "multi_thread")]
async fn what_may_be_seen_is_told_apart() {
    let twins = twins(["meshgate_twins_full_seen", "meshgate_twins_bare_seen"]).await;
    let seen = compare(&twins, "steward", PLACES[1]).await;
    assert!(seen.differing.len() * 2 > seen.run, "{} of {} statements differ", seen.differing.len(), seen.run);
    for part in ["D ", "C SELECT", "E S", "22012"] {
        assert!(seen.differing.iter().any(|difference| difference.contains(part)), "no difference in {part}");
    }
}
