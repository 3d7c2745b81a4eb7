//! Random rules over random records: what is left of the rules lets through exactly the records that the interpreter lets through.
//!
//! `MESHGATE_SEED` picks other cases; a failure prints its seed.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::row::DAY_NS;
use super::*;

const POLICIES: u64 = 260;
const ROWS: usize = 16;

/// Rules that conditions may use.
const LIBRARY: &str = r#"
kind := "low" if {
	input.resource.record.n < 1
} else := "middle" if {
	input.resource.record.n < 3
} else := "high"

flags contains "many" if input.resource.record.n > 2

flags contains "few" if input.resource.record.m < 1

flags contains "always"

default expensive := false

expensive if input.resource.record.price > 10

near(a, b) if {
	a - b <= 1
	b - a <= 1
}

near(_, 100) := true

size(x) := "small" if x < 2

size(x) := "large" if x >= 2

price_of["a"] := 1

price_of["b"] := 2 if input.resource.record.f

wanted := {"a", "ab"}

limit := 2

cutoff := time.now_ns() - (2 * 86400000000000)

fresh(ns) if ns > time.now_ns() - 86400000000000

bounds["a"] := input.context.now_ns - 86400000000000

hour := time.clock(time.now_ns())[0]

held := count(input.subject.roles)

trusted if {
	"crm" in input.subject.roles
	input.resource.record.n > 1
}

trusted if held == 0
"#;

/// Texts that are made of the record.
const TEXTS_MADE: [&str; 12] = [
    "trim(input.resource.record.t, \"a \")",
    "trim_left(input.resource.record.t, \"a\")",
    "trim_right(input.resource.record.t, \"b \")",
    "trim_prefix(input.resource.record.t, \"a\")",
    "trim_suffix(input.resource.record.t, \"b\")",
    "trim_space(input.resource.record.t)",
    "replace(input.resource.record.t, \"b\", \"a\")",
    "substring(input.resource.record.t, 0, 1)",
    "substring(input.resource.record.t, 1, -1)",
    "upper(lower(input.resource.record.t))",
    "strings.reverse(trim_space(input.resource.record.u))",
    "trim_space(replace(input.resource.record.t, \"%\", input.resource.record.u))",
];

struct Maker {
    rng: StdRng,
    now_ns: i64,
}

impl Maker {
    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.rng.random_range(0..from.len())]
    }

    fn chance(&mut self, of: u32) -> bool {
        self.rng.random_range(0..of) == 0
    }

    fn number(&mut self) -> String {
        let numbers = ["-3", "-1", "0", "1", "2", "3", "4", "0.5", "2.5", "-0.75", "1e3", "limit", "count(wanted)"];
        self.pick(&numbers).to_owned()
    }

    fn order(&mut self) -> &'static str {
        self.pick(&["==", "!=", "<", "<=", ">", ">="])
    }

    fn arithmetic(&mut self, column: &str) -> String {
        let record = format!("input.resource.record.{column}");
        match self.rng.random_range(0..9) {
            0 => format!("{record} + 1"),
            1 => format!("2 * {record} - 1"),
            2 => format!("3 - {record}"),
            3 => format!("{record} / 2"),
            4 => format!("{record} / -3"),
            5 => format!("floor({record} / 2)"),
            6 => format!("2 * ({record} + 0.5)"),
            _ => record,
        }
    }

    fn text(&mut self) -> String {
        self.pick(&["\"a\"", "\"ab\"", "\"B\"", "\"\"", "\"b\"", "\"%\"", "\"ÄB\"", "\"äb\""]).to_owned()
    }

    /// A condition, on one line.
    fn condition(&mut self) -> String {
        match self.rng.random_range(0..60) {
            0..=4 => {
                let column = self.pick(&["n", "m", "price", "w"]);
                let (left, order, right) = (self.arithmetic(column), self.order(), self.number());
                if !right.starts_with('-') && self.chance(3) {
                    format!("{right} {order} {left}")
                } else {
                    format!("{left} {order} {right}")
                }
            }
            5 | 6 => format!("input.resource.record.t {} {}", self.order(), self.text()),
            7 => format!("{}(input.resource.record.t, {})", self.pick(&["startswith", "endswith", "contains"]), self.text()),
            8 => format!("{}(lower(input.resource.record.t), {})", self.pick(&["startswith", "endswith", "contains"]), self.text()),
            9 => format!("{}(input.resource.record.t) {} {}", self.pick(&["lower", "upper"]), self.order(), self.text()),
            10 => format!(
                "input.resource.record.{} in {}",
                self.pick(&["t", "u"]),
                self.pick(&["wanted", "data.letters", "[\"a\", \"b\"]", "{\"k\": \"ab\"}"])
            ),
            11 => format!("regex.match(\"{}\", input.resource.record.t)", self.pick(&["^a", "b$", "^[A-Z]+$", "."])),
            12 => self.pick(&["input.resource.record.f", "input.resource.record.f == false", "input.resource.record.f != true"]).to_owned(),
            13 => format!("input.resource.record.d {} \"2024-10-0{}\"", self.order(), self.rng.random_range(1..9)),
            14 | 15 => {
                let days = self.pick(&["1", "2", "0.5", "730"]);
                format!("{days} {} (time.now_ns() - input.resource.record_created_ns) / 86400000000000", self.order())
            }
            16 => "input.resource.subject_id in data.erased_subjects".to_owned(),
            17 => "some gone in data.erased_subjects; gone == input.resource.subject_id".to_owned(),
            18 => format!(
                "input.resource.record.{} {} input.resource.record.{}",
                self.pick(&["n", "m"]),
                self.order(),
                self.pick(&["n", "m"])
            ),
            19 => format!("input.resource.record.t {} input.resource.record.u", self.order()),
            20 => format!("data.limits[input.resource.record.t] {} {}", self.order(), self.number()),
            21 => format!("input.resource.record.n {} data.limits[input.resource.record.t]", self.order()),
            22 => format!("kind {} \"{}\"", self.pick(&["==", "!="]), self.pick(&["low", "middle", "high", "none"])),
            23 => format!("near(input.resource.record.{}, {})", self.pick(&["n", "m"]), self.pick(&["0", "2", "100"])),
            24 => format!("size(input.resource.record.n) == \"{}\"", self.pick(&["small", "large"])),
            25 => format!("\"{}\" in flags", self.pick(&["many", "few", "always", "never"])),
            26 => format!("flags[\"{}\"]", self.pick(&["many", "few", "always", "never"])),
            27 => format!("count(flags) {} {}", self.order(), self.rng.random_range(0..4)),
            28 => self.pick(&["expensive", "expensive == true", "expensive == false", "wanted[input.resource.record.t]"]).to_owned(),
            29 => format!(
                "count([x | some x in [input.resource.record.n, input.resource.record.m]; x > {}]) {} 0",
                self.number(),
                self.pick(&[">", "==", "!="])
            ),
            30 => "every x in [1, 2, 3] { input.resource.record.n != x }".to_owned(),
            31 => format!("some x in [0, 1, 2]; x {} input.resource.record.n", self.order()),
            32 => format!("price_of[\"{}\"] {} {}", self.pick(&["a", "b", "c"]), self.order(), self.number()),
            33..=41 => self.of_clock(),
            42..=56 => self.worked_out(),
            _ => format!("flags {} {}", self.pick(&["==", "!="]), self.pick(&["set()", "{\"always\"}", "{\"always\", \"few\"}"])),
        }
    }

    /// A condition that the clock has a part in.
    fn of_clock(&mut self) -> String {
        match self.rng.random_range(0..9) {
            0 => format!(
                "input.resource.record_created_ns {} {} - ({} * 86400000000000)",
                self.order(),
                self.pick(&["time.now_ns()", "input.context.now_ns"]),
                self.pick(&["1", "2", "730", "-1"])
            ),
            1 => format!("input.resource.record_created_ns {} {}", self.order(), self.pick(&["cutoff", "bounds.a"])),
            2 => "fresh(input.resource.record_created_ns)".to_owned(),
            3 => format!("time.parse_rfc3339_ns(input.resource.record.at) {} time.add_date(time.now_ns(), 0, 0, -1)", self.order()),
            4 => format!("input.resource.record.d {} substring(time.format(time.now_ns()), 0, 10)", self.order()),
            5 => format!("time.now_ns() {} {}", self.order(), NOW_NS + 1_000_000 * i64::from(self.rng.random_range(-2_i32..3))),
            6 => format!("{} {} (time.now_ns() - 5) / 86400000000000", NOW_NS / DAY_NS, self.order()),
            7 if self.chance(3) => format!("hour {} 11", self.order()),
            _ => format!(
                "{} {} input.resource.record_created_ns / 1000000",
                self.pick(&["time.now_ns() / 1000000", "cutoff / 1e6"]),
                self.order()
            ),
        }
    }

    /// A condition that is worked out row by row, or that goes through known collections.
    fn worked_out(&mut self) -> String {
        match self.rng.random_range(0..15) {
            0 => format!(
                "input.resource.record.{} % {} {} {}",
                self.pick(&["n", "m"]),
                self.pick(&["2", "3", "-2"]),
                self.order(),
                self.number()
            ),
            1 => format!(
                "{} {} {}",
                self.pick(&[
                    "input.resource.record.n + input.resource.record.m",
                    "input.resource.record.n * input.resource.record.m - 1",
                    "input.resource.record.price - input.resource.record.n / 2",
                    "2 * (input.resource.record.w + input.resource.record.price)",
                    "floor(input.resource.record.price * input.resource.record.m)",
                    "abs(input.resource.record.n - input.resource.record.m)",
                    "input.resource.record.n * 0"
                ]),
                self.order(),
                self.number()
            ),
            2 => format!("input.resource.record.price {} input.resource.record.{}", self.order(), self.pick(&["n", "w"])),
            3 | 4 => {
                let made = self.pick(&TEXTS_MADE);
                match self.rng.random_range(0..5) {
                    0 => format!("{}({made}, {})", self.pick(&["startswith", "endswith", "contains"]), self.text()),
                    1 => format!("{made} in {}", self.pick(&["wanted", "data.letters", "[\"a\", \"b\"]"])),
                    2 => format!("data.limits[{made}] {} {}", self.order(), self.number()),
                    3 => format!("{made} {} input.resource.record.u", self.order()),
                    _ => format!("{made} {} {}", self.order(), self.text()),
                }
            }
            5 => format!("count(input.resource.record.t) {} {}", self.order(), self.rng.random_range(0..4)),
            6 => format!("indexof(input.resource.record.t, {}) {} 0", self.text(), self.order()),
            7 => "every gone in data.erased_subjects { gone != input.resource.subject_id }".to_owned(),
            8 => "every gone in data.erased_subjects { not input.resource.subject_id == gone }".to_owned(),
            9 => format!("some role in input.subject.roles; input.resource.record.t {} data.letters_of[role][_]", self.pick(&["==", "<"])),
            10 => "input.subject.purposes[_] == input.resource.record.t".to_owned(),
            11 => "every letter in input.subject.purposes { letter != input.resource.record.t }".to_owned(),
            12 => format!("input.resource.record_created_ns {} time.now_ns() - (input.resource.record.n * 86400000000000)", self.order()),
            13 => format!(
                "input.resource.record.n {} {} with input.subject.roles as [\"a\", \"b\"]",
                self.order(),
                self.pick(&["count(input.subject.roles)", "held"])
            ),
            _ => format!(
                "{} with input.subject.roles as {}",
                self.pick(&["trusted", "not trusted"]),
                self.pick(&["[]", "[\"crm\"]", "input.subject.purposes"])
            ),
        }
    }

    fn statement(&mut self) -> String {
        let condition = self.condition();
        let sought = condition.contains("[_]");
        let plain = !condition.contains("some ") && !condition.starts_with("every") && !condition.contains(" with ");
        match self.rng.random_range(0..6) {
            0 | 1 if plain && !sought => format!("not {condition}"),
            2 if plain => format!("count([1 | {condition}]) {}", self.pick(&["> 0", "== 0"])),
            _ => condition,
        }
    }

    fn body(&mut self) -> String {
        let mut lines: Vec<String> = (0..self.rng.random_range(1..4)).map(|_| format!("\t{}", self.statement())).collect();
        if self.chance(3) {
            let ground = self.pick(&[
                "input.action == \"read\"",
                "\"analyst\" in input.subject.roles",
                "not input.subject.is_data_steward",
                "input.subject.nothing",
            ]);
            lines.insert(0, format!("\t{ground}"));
        }
        // Two `some` in one body must not share a name.
        let text: Vec<String> = lines
            .into_iter()
            .enumerate()
            .map(|(at, line)| {
                line.replace("some role", &format!("some role{at}"))
                    .replace("[role]", &format!("[role{at}]"))
                    .replace("letter ", &format!("letter{at} "))
                    .replace("some x", &format!("some x{at}"))
                    .replace("; x ", &format!("; x{at} "))
                    .replace("[x |", &format!("[x{at} |"))
                    .replace("gone", &format!("gone{at}"))
            })
            .collect();
        text.join("\n")
    }

    fn policy(&mut self) -> String {
        let mut text = String::from(LIBRARY);
        for number in 0..self.rng.random_range(1..4) {
            let head = if self.chance(2) {
                format!("\"no {number}\"")
            } else {
                format!("{{\"rule\": \"r{number}\", \"msg\": sprintf(\"%v\", [input.resource.record.n])}}")
            };
            text.push_str(&format!("\ndeny contains {head} if {{\n{}\n}}\n", self.body()));
        }
        match self.rng.random_range(0..4) {
            0 => text.push_str("\ndefault allow := false\n\nallow if count(deny) == 0\n"),
            1 => text.push_str("\ndefault allow := false\n\nallow if not any_deny\n\nany_deny if count(deny) > 0\n"),
            2 => text.push_str(&format!("\nallow if {{\n{}\n}}\n\nallow if {{\n{}\n}}\n", self.body(), self.body())),
            _ => text.push_str(&format!("\nallow := false if {{\n{}\n}} else := true\n", self.body())),
        }
        text
    }

    fn cell(&mut self, column: &str) -> Cell {
        match column {
            "n" | "m" => Cell::Int(self.rng.random_range(-3..5)),
            "big" => Cell::Int(self.rng.random()),
            "price" => Cell::Decimal(self.rng.random_range(-300..1_300), 2),
            "w" => Cell::Float(f64::from(self.rng.random_range(-8..9)) / 4.0),
            "t" | "u" => Cell::Text(self.pick(&["a", "ab", "B", "", "b", "a%b", "ÄB", "AB", "zz", "a "]).to_owned()),
            "f" => Cell::Bool(self.rng.random()),
            "d" if self.chance(2) => {
                let today = i32::try_from(self.now_ns.div_euclid(DAY_NS)).unwrap();
                Cell::Day(today + self.rng.random_range(-1..2))
            }
            "d" => Cell::Day(self.rng.random_range(19_995..20_010)),
            "created_at" => {
                let days = self.rng.random_range(0..3) + if self.chance(2) { 729 } else { 0 };
                Cell::Instant(self.now_ns - days * DAY_NS + i64::from(self.rng.random_range(-2_i32..3)) * 1_000)
            }
            "at" => Cell::Instant(self.now_ns - i64::from(self.rng.random_range(-1_i32..2)) * 1_000 - DAY_NS),
            "id" => Cell::Text(self.pick(&["c-1", "c-7", "c-9", "c-70", ""]).to_owned()),
            _ => Cell::Text(String::new()),
        }
    }

    fn row(&mut self) -> Row {
        super::row()
            .into_keys()
            .map(|column| {
                let cell = self.cell(column.as_str());
                (column, cell)
            })
            .collect()
    }

    /// The record with some values taken away.
    fn with_nulls(&mut self, row: &Row) -> Row {
        row.iter().map(|(column, cell)| (column.clone(), if self.chance(4) { Cell::Null } else { cell.clone() })).collect()
    }

    /// The record with what is missing filled in.
    fn filled(&mut self, row: &Row) -> Row {
        row.iter()
            .map(|(column, cell)| (column.clone(), if *cell == Cell::Null { self.cell(column.as_str()) } else { cell.clone() }))
            .collect()
    }
}

fn seed() -> u64 {
    std::env::var("MESHGATE_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_260_601)
}

/// A time at which a residual that was made at [`NOW_NS`] is used.
fn moved(maker: &mut Maker) -> i64 {
    let day = DAY_NS;
    let far = [0, 1, -1, 1_000, 2_000_000, 3_600_000_000_000, day, -day, 40 * day, 800 * day, -600 * day];
    NOW_NS + far[maker.rng.random_range(0..far.len())]
}

#[test]
fn what_is_left_of_random_rules_goes_on_with_the_clock_as_the_interpreter_does() {
    let (mut shown, mut hidden, mut anew) = (0, 0, 0);
    for case in 0..POLICIES * 2 {
        let seed = seed().wrapping_add(2_000_000).wrapping_add(case);
        let mut maker = Maker { rng: StdRng::seed_from_u64(seed), now_ns: NOW_NS };
        let policy = maker.policy();
        let world = World::new(&policy);
        let residual = world.residual();
        for number in 0..ROWS {
            let now_ns = moved(&mut maker);
            maker.now_ns = now_ns;
            let row = maker.row();
            let expected = world.interpreted_at(&input(), &row, now_ns).unwrap_or(false);
            let holds = now_ns == NOW_NS || residual.valid.is_some_and(|(from, to)| (from..=to).contains(&now_ns));
            match world.visible_at(&residual, &row, now_ns).filter(|_| holds) {
                Some(found) => {
                    assert_eq!(found, expected, "seed {seed} at {now_ns}\n{policy}\n{row:?}\n{residual:?}");
                    if residual.filter.is_moving() && now_ns != NOW_NS {
                        if found { shown += 1 } else { hidden += 1 }
                    }
                }
                None => anew += 1,
            }
            if number % 4 == 0 {
                let residual = world.ask_at(&input(), now_ns).unwrap();
                assert_eq!(world.visible_at(&residual, &row, now_ns), Some(expected), "seed {seed} anew at {now_ns}\n{policy}\n{row:?}");
            }
        }
    }
    assert!(shown > 150 && hidden > 150 && anew > 50, "{shown} shown, {hidden} hidden, {anew} decided anew");
}

#[test]
fn what_is_left_of_random_rules_shows_what_the_interpreter_shows() {
    let (mut shown, mut hidden) = (0, 0);
    for case in 0..POLICIES {
        let seed = seed().wrapping_add(case);
        let mut maker = Maker { rng: StdRng::seed_from_u64(seed), now_ns: NOW_NS };
        let policy = maker.policy();
        let world = World::new(&policy);
        let residual = world.ask(&input()).unwrap_or_else(|stop| panic!("seed {seed}: {stop:?}\n{policy}"));
        for _ in 0..ROWS {
            let row = maker.row();
            let expected = world.interpreted(&input(), &row).unwrap_or(false);
            let found = world.visible_at(&residual, &row, NOW_NS).unwrap();
            assert_eq!(found, expected, "seed {seed}\n{policy}\n{row:?}\n{residual:?}");
            if found { shown += 1 } else { hidden += 1 }
        }
    }
    assert!(shown > 300 && hidden > 300, "{shown} shown, {hidden} hidden");
}

#[test]
fn a_record_with_nulls_is_shown_only_if_it_would_be_with_any_value_in_their_place() {
    let mut shown = 0;
    for case in 0..POLICIES / 2 {
        let seed = seed().wrapping_add(1_000_000).wrapping_add(case);
        let mut maker = Maker { rng: StdRng::seed_from_u64(seed), now_ns: NOW_NS };
        let policy = maker.policy();
        let world = World::new(&policy);
        let residual = world.residual();
        for _ in 0..ROWS {
            let row = maker.row();
            let row = maker.with_nulls(&row);
            if !world.visible_at(&residual, &row, NOW_NS).unwrap() {
                continue;
            }
            shown += 1;
            for _ in 0..4 {
                let filled = maker.filled(&row);
                assert_eq!(world.interpreted(&input(), &filled), Some(true), "seed {seed}\n{policy}\n{row:?}\n{filled:?}\n{residual:?}");
            }
        }
    }
    assert!(shown > 100, "{shown} shown");
}
