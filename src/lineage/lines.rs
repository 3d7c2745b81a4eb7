//! Events as lines of JSON, as the spec words them. What a plan's lineage says is the same in both events of each of its runs: it is
//! written once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

use serde::Serialize;
use serde::ser::Error as _;
use serde_json::Error;

use super::events::{PRODUCER, RUN_EVENT};
use super::model::Lineage;
use super::openlineage::{Run, RunEvent, inputs, output};

/// Lineages of which it is kept what was written.
const KNOWN_MAX: usize = 128;

/// Writes lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// By the address of the lineage, which is kept with it and so is nobody else's.
    known: HashMap<usize, Known>,
}

/// What was written of a lineage.
#[derive(Debug)]
struct Known {
    _lineage: Arc<Lineage>,
    namespace: String,
    inputs: Vec<u8>,
    output: Vec<u8>,
}

impl Known {
    fn new(run: &Run) -> Result<Self, Error> {
        let (lineage, namespace) = (&run.lineage, run.namespace.as_str());
        Ok(Self {
            _lineage: Arc::clone(lineage),
            namespace: namespace.to_owned(),
            inputs: serde_json::to_vec(&inputs(lineage, namespace))?,
            output: serde_json::to_vec(&output(lineage, namespace))?,
        })
    }
}

impl Lines {
    /// The event on one line, without a line feed.
    pub(super) fn line(&mut self, event: &RunEvent) -> Result<String, Error> {
        let run = event.run();
        let known = self.known(run)?;
        let mut line = Vec::with_capacity(known.inputs.len() + known.output.len() + 2048);
        line.push(b'{');
        field(&mut line, "eventType", event.event_type())?;
        line.push(b',');
        field(&mut line, "eventTime", &event.time())?;
        line.push(b',');
        field(&mut line, "run", &event.run_json())?;
        line.push(b',');
        field(&mut line, "job", &event.job())?;
        line.extend_from_slice(b",\"inputs\":");
        line.extend_from_slice(&known.inputs);
        line.extend_from_slice(b",\"outputs\":[{");
        field(&mut line, "namespace", &run.namespace)?;
        line.push(b',');
        field(&mut line, "name", &format_args!("query/{}", run.id))?;
        line.extend_from_slice(b",\"facets\":");
        line.extend_from_slice(&known.output);
        if let Some(facets) = event.output_facets() {
            line.push(b',');
            field(&mut line, "outputFacets", &facets)?;
        }
        line.extend_from_slice(b"}],");
        field(&mut line, "producer", PRODUCER)?;
        line.push(b',');
        field(&mut line, "schemaURL", RUN_EVENT)?;
        line.push(b'}');
        String::from_utf8(line).map_err(Error::custom)
    }

    fn known(&mut self, run: &Run) -> Result<&Known, Error> {
        if self.known.len() >= KNOWN_MAX {
            self.known.clear();
        }
        match self.known.entry(Arc::as_ptr(&run.lineage).addr()) {
            Entry::Vacant(place) => Ok(place.insert(Known::new(run)?)),
            Entry::Occupied(place) => {
                let known = place.into_mut();
                if known.namespace != run.namespace {
                    *known = Known::new(run)?;
                }
                Ok(known)
            }
        }
    }
}

fn field(line: &mut Vec<u8>, name: &str, value: &(impl Serialize + ?Sized)) -> Result<(), Error> {
    line.push(b'"');
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
    serde_json::to_writer(line, value)
}
