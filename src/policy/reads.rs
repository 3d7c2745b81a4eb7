//! What of a question's circumstances the rules of a bundle can read, and so what decisions can depend on.

/// What rules read beside what each question is about. Told by their text, so that what is not read is certain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Reads {
    /// `input.context.application_name`.
    pub(super) application_name: bool,
    /// `input.context.client_address`.
    pub(super) client_address: bool,
    /// The statement's id, which no other has.
    pub(super) query_id: bool,
    /// Something that is another thing each time.
    pub(super) chance: bool,
}

impl Reads {
    /// Everything: rules that take the question as a whole.
    pub(super) fn everything() -> Self {
        Self { application_name: true, client_address: true, query_id: true, chance: true }
    }

    /// Notes a path below `input`; `None` is a key that is known only when the rule runs.
    pub(super) fn note_input(&mut self, path: &[Option<&str>]) {
        match path {
            // The action, the subject and the resource are what a question is about.
            [Some(key), ..] if *key != "context" => {}
            [Some(_), Some("application_name"), ..] => self.application_name = true,
            [Some(_), Some("client_address"), ..] => self.client_address = true,
            [Some(_), Some("query_id"), ..] => self.query_id = true,
            // The clock is followed rule by rule.
            [Some(_), Some("now_ns"), ..] => {}
            _ => *self = Self::everything(),
        }
    }

    /// Notes a function that is called.
    pub(super) fn note_function(&mut self, name: &str) {
        match name {
            "rand.intn" | "uuid.rfc4122" | "opa.runtime" | "http.send" | "net.lookup_ip_addr" | "io.jwt.decode_verify" => {
                self.chance = true
            }
            _ => {}
        }
    }

    /// Whether a question can come again: the rules read nothing but the clock that is another thing each time.
    pub(super) fn repeatable(self) -> bool {
        !(self.query_id || self.chance)
    }
}
