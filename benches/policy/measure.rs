//! Runs the queries of a case in turn and compares their medians.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Context as _;

use crate::worlds::{Bare, Gateway};

/// Where a query runs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum On {
    /// The gateway with so many erased people.
    Gateway(i64),
    /// The same, with nothing remembered of any statement before.
    First(i64),
    /// The bare engine.
    Bare,
}

struct Variant {
    name: String,
    on: On,
    sql: String,
    /// Whether its ratio is held against the wanted one.
    judged: bool,
}

/// Queries that are compared with the first of them.
pub(crate) struct Case {
    name: String,
    want: f64,
    repeats: usize,
    variants: Vec<Variant>,
}

impl Case {
    /// A case whose ratio must not exceed `want`.
    pub(crate) fn new(name: &str, want: f64) -> Self {
        Self { name: name.to_owned(), want, repeats: 1, variants: Vec::new() }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Runs each query so often for one measurement.
    pub(crate) fn repeated(mut self, repeats: usize) -> Self {
        self.repeats = repeats;
        self
    }

    /// A further query.
    pub(crate) fn with(mut self, name: &str, (on, sql): (On, String)) -> Self {
        self.variants.push(Variant { name: name.to_owned(), on, sql, judged: true });
        self
    }

    /// A further query to look at beside the others.
    pub(crate) fn beside(mut self, name: &str, (on, sql): (On, String)) -> Self {
        self.variants.push(Variant { name: name.to_owned(), on, sql, judged: false });
        self
    }

    /// Runs everything once unmeasured and `runs` times measured; the table's lines.
    pub(crate) async fn measure(&self, bare: &Bare, gateways: &mut [(i64, Gateway)], runs: usize) -> anyhow::Result<String> {
        let mut times: Vec<(Vec<f64>, Vec<f64>)> = self.variants.iter().map(|_| Default::default()).collect();
        // Their threads must not end while others are measured: the time of a thread that has ended is not counted.
        let mut firsts = Vec::new();
        for run in 0..=runs {
            for (variant, (wall, cpu)) in self.variants.iter().zip(&mut times) {
                let mut first = variant.first(gateways)?;
                let (started, used) = (Instant::now(), cpu_time()?);
                for _ in 0..self.repeats {
                    match &mut first {
                        Some(first) => first.run(&variant.sql).await?,
                        None => variant.run(bare, gateways).await?,
                    };
                }
                if run > 0 {
                    wall.push(started.elapsed().as_secs_f64() * 1e3);
                    cpu.push(cpu_time()?.saturating_sub(used).as_secs_f64() * 1e3);
                }
                firsts.extend(first);
            }
        }
        let medians: Vec<(f64, f64)> = times.iter_mut().map(|(wall, cpu)| (median(wall), median(cpu))).collect();
        let (base_wall, base_cpu) = medians.first().copied().unwrap_or((f64::NAN, f64::NAN));
        let mut text = format!("{}\n", self.name);
        for (index, (variant, (wall, cpu))) in self.variants.iter().zip(&medians).enumerate() {
            let (wall_ratio, cpu_ratio) = (wall / base_wall, cpu / base_cpu);
            // The machine's noise is no miss.
            let verdict = match (index, variant.judged) {
                (0, _) | (_, false) => String::new(),
                _ if cpu_ratio <= self.want * 1.02 => format!("{:>6.2}", self.want),
                _ => format!("{:>6.2} missed", self.want),
            };
            writeln!(text, "  {:<44} {wall:>10.1} {cpu:>10.1} {wall_ratio:>7.2} {cpu_ratio:>7.2} {verdict}", variant.name)?;
        }
        Ok(text.trim_end().to_owned())
    }
}

impl Variant {
    /// A gateway of its own, for a statement that is the first.
    fn first(&self, gateways: &[(i64, Gateway)]) -> anyhow::Result<Option<Gateway>> {
        let On::First(erased) = self.on else { return Ok(None) };
        let gateway = gateways.iter().find(|(count, _)| *count == erased).context("no gateway with so many erased people")?;
        gateway.1.anew().map(Some)
    }

    async fn run(&self, bare: &Bare, gateways: &mut [(i64, Gateway)]) -> anyhow::Result<usize> {
        match self.on {
            On::Bare => bare.run(&self.sql).await.with_context(|| self.sql.clone()),
            On::Gateway(erased) | On::First(erased) => {
                let gateway = gateways.iter_mut().find(|(count, _)| *count == erased).map(|(_, gateway)| gateway);
                gateway.context("no gateway with so many erased people")?.run(&self.sql).await
            }
        }
    }
}

/// The middle one.
pub(crate) fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times.get(times.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The time that this process has spent on processors: that of each thread, to the nanosecond.
fn cpu_time() -> anyhow::Result<Duration> {
    let mut nanos = 0;
    for task in std::fs::read_dir("/proc/self/task").context("CPU times are read from /proc; this bench needs Linux")? {
        // A thread may end between the two looks.
        if let Ok(text) = std::fs::read_to_string(task?.path().join("schedstat")) {
            nanos += text.split_whitespace().next().and_then(|first| first.parse::<u64>().ok()).unwrap_or(0);
        }
    }
    Ok(Duration::from_nanos(nanos))
}
