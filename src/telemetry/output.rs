//! Lines on their way to the standard error: gathered for a moment, and written together, so that a statement costs no call of the
//! system for each of its lines.
//!
//! INVARIANT: lines leave in the order in which they came. A warning or an error leaves at once, with all that came before it; whatever
//! else is there leaves within a moment, or when the last handle goes. No more than a bound is held: who comes then writes it out.

use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How long the first line waits for others.
const GATHERING: Duration = Duration::from_millis(5);
/// How much is held at most.
const HELD_BYTES_MAX: usize = 256 << 10;

/// Where lines are written to.
type Out = Box<dyn Write + Send>;

#[derive(Default)]
struct Held {
    bytes: Vec<u8>,
    ended: bool,
}

struct Shared {
    held: Mutex<Held>,
    arrived: Condvar,
    /// Taken before `held` by whoever writes, so that no later lines overtake earlier ones.
    writing: Mutex<Writing>,
}

struct Writing {
    out: Out,
    /// What is being written; its room is the next to hold lines.
    bytes: Vec<u8>,
}

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is held.
    fn write_out(&self) {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let Writing { out, bytes } = &mut *writing;
        std::mem::swap(bytes, &mut self.held().bytes);
        if !bytes.is_empty() {
            // There is nowhere to tell that the log cannot be written.
            let _lost = out.write_all(bytes);
        }
        bytes.clear();
        bytes.shrink_to(HELD_BYTES_MAX);
    }

    fn run(&self) {
        loop {
            let mut held = self.held();
            while held.bytes.is_empty() && !held.ended {
                held = self.arrived.wait(held).unwrap_or_else(PoisonError::into_inner);
            }
            if held.ended {
                return;
            }
            drop(held);
            std::thread::sleep(GATHERING);
            self.write_out();
        }
    }
}

/// The log's output, for as long as the program runs. Dropping it writes what is left.
#[must_use = "dropping it ends the log's gathering"]
pub struct Output(Arc<Shared>);

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Output").finish_non_exhaustive()
    }
}

impl Output {
    /// Starts to gather for `out`. Without a thread of its own, every line leaves at once.
    pub(super) fn start(out: Out) -> Self {
        let shared =
            Arc::new(Shared { held: Mutex::default(), arrived: Condvar::new(), writing: Mutex::new(Writing { out, bytes: Vec::new() }) });
        let theirs = Arc::clone(&shared);
        if std::thread::Builder::new().name("log".to_owned()).spawn(move || theirs.run()).is_err() {
            shared.held().ended = true;
        }
        Self(shared)
    }

    /// Makes the writers of lines.
    pub(super) fn lines(&self) -> MakeLines {
        MakeLines(Arc::clone(&self.0))
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.0.held().ended = true;
        self.0.arrived.notify_all();
        self.0.write_out();
    }
}

/// Makes a writer for each event.
pub(super) struct MakeLines(Arc<Shared>);

impl<'a> MakeWriter<'a> for MakeLines {
    type Writer = Lines<'a>;

    fn make_writer(&'a self) -> Lines<'a> {
        Lines { shared: &self.0, urgent: false }
    }

    fn make_writer_for(&'a self, metadata: &Metadata<'_>) -> Lines<'a> {
        Lines { shared: &self.0, urgent: *metadata.level() <= Level::WARN }
    }
}

/// Takes the lines of one event.
pub(super) struct Lines<'a> {
    shared: &'a Shared,
    urgent: bool,
}

impl Write for Lines<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut held = self.shared.held();
        let first = held.bytes.is_empty();
        held.bytes.extend_from_slice(bytes);
        let now = self.urgent || held.ended || held.bytes.len() >= HELD_BYTES_MAX;
        drop(held);
        if now {
            self.shared.write_out();
        } else if first {
            self.shared.arrived.notify_one();
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Written {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn logged(log: impl FnOnce(&Written)) -> String {
        let written = Written::default();
        let output = Output::start(Box::new(written.clone()));
        let subscriber = tracing_subscriber::fmt().without_time().with_target(false).with_ansi(false).with_writer(output.lines()).finish();
        tracing::subscriber::with_default(subscriber, || log(&written));
        drop(output);
        written.text()
    }

    #[test]
    fn a_warning_leaves_at_once_and_behind_what_came_before() {
        let end = logged(|written| {
            tracing::info!("one");
            tracing::warn!("two");
            let text = written.text();
            assert!(text.find("one").unwrap() < text.find("two").unwrap(), "{text}");
            tracing::info!("three");
        });
        assert_eq!(end, " INFO one\n WARN two\n INFO three\n");
    }

    #[test]
    fn lines_leave_by_themselves() {
        logged(|written| {
            tracing::info!("alone");
            while written.text().is_empty() {
                std::thread::yield_now();
            }
        });
    }

    #[test]
    fn no_more_than_the_bound_is_held_and_nothing_is_lost() {
        let long = "x".repeat(HELD_BYTES_MAX / 4);
        let end = logged(|written| {
            (0..8).for_each(|_| tracing::info!("{long}"));
            assert!(written.text().len() >= HELD_BYTES_MAX);
        });
        assert_eq!(end.lines().count(), 8);
    }

    #[test]
    fn what_comes_after_the_end_leaves_at_once() {
        let written = Written::default();
        let output = Output::start(Box::new(written.clone()));
        let lines = output.lines();
        drop(output);
        lines.make_writer().write_all(b"late\n").unwrap();
        assert_eq!(written.text(), "late\n");
    }
}
