//! Inputs for the gateway's messages, made of known ones by a seed: the same seed makes the same inputs.

/// A small generator of numbers.
pub(crate) struct Random(u64);

impl Random {
    /// The generator of this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below this one.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % end.max(1)
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// Values at the edges of types, and openings of what does not end.
const EDGES: [&str; 28] = [
    "0",
    "-1",
    "2147483648",
    "9223372036854775808",
    "1e400",
    "NULL",
    "''",
    "'NaN'",
    "'infinity'",
    "'{}'",
    "'{1,{2}}'",
    "'[1,null]'",
    "'\\x'",
    "'9999-12-31'",
    "$1",
    "$65536",
    "(SELECT)",
    "ROW()",
    "(1, 2)",
    "*",
    "ARRAY[]",
    "U&'\\0041'",
    "$$",
    "/*",
    "\"",
    "interval '1'",
    "\u{e9}",
    "\u{1F600}",
];

/// Makes inputs of known ones and of words.
pub(crate) struct Mutator {
    known: Vec<Vec<u8>>,
    words: Vec<String>,
}

impl Mutator {
    /// Of these inputs, and the words of a fuzzer's dictionary.
    pub(crate) fn new(known: Vec<Vec<u8>>, dictionary: &str) -> Self {
        let word = |line: &str| Some(line.strip_prefix('"')?.strip_suffix('"')?.to_owned());
        let words: Vec<String> = dictionary.lines().filter_map(word).collect();
        assert!(!known.is_empty() && !words.is_empty(), "nothing to start from");
        Self { known, words }
    }

    fn any(&self, random: &mut Random) -> &[u8] {
        let known: &Vec<u8> = random.of(&self.known);
        known
    }

    /// Messages: a type, a length of two bytes and a body each.
    pub(crate) fn session(&self, random: &mut Random) -> Vec<u8> {
        let mut messages = messages(self.any(random));
        for _ in 0..=random.below(3) {
            let at = random.below(messages.len() + 1);
            match random.below(6) {
                0 if at < messages.len() => drop(messages.remove(at)),
                1 => {
                    let other = self::messages(self.any(random));
                    drop(messages.splice(at..at, other));
                }
                2 if at < messages.len() => {
                    let again = messages[at].clone();
                    messages.push(again);
                }
                3 => messages.insert(at, (*random.of(b"PBDECSHQFdcf"), random_bytes(random))),
                _ if at < messages.len() => {
                    let (kind, body) = &mut messages[at];
                    *body = if matches!(kind, b'Q' | b'P') { self.text(body, random) } else { flipped(body, random) };
                }
                _ => {}
            }
        }
        let mut out = Vec::new();
        for (kind, mut body) in messages {
            body.truncate(usize::from(u16::MAX));
            out.push(kind);
            out.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
            out.extend(body);
        }
        out
    }

    /// A statement's text.
    pub(crate) fn statement(&self, random: &mut Random) -> Vec<u8> {
        let known = self.any(random).to_vec();
        self.text(&known, random)
    }

    /// Bytes with some of them changed.
    pub(crate) fn bytes(&self, random: &mut Random) -> Vec<u8> {
        let known = self.any(random).to_vec();
        flipped(&known, random)
    }

    /// A text with some of its words changed; a zero byte and what follows it stay.
    fn text(&self, text: &[u8], random: &mut Random) -> Vec<u8> {
        let start = text.iter().position(|byte| *byte == 0).filter(|end| *end == 0).map_or(0, |end| end + 1);
        let end = text[start..].iter().position(|byte| *byte == 0).map_or(text.len(), |end| start + end);
        let spelled = String::from_utf8_lossy(&text[start..end]).into_owned();
        let mut words: Vec<String> = split(&spelled);
        for _ in 0..=random.below(3) {
            let at = random.below(words.len().max(1));
            let other = split(&String::from_utf8_lossy(self.any(random)).replace('\0', " "));
            match random.below(6) {
                0 if at < words.len() => drop(words.remove(at)),
                1 if at < words.len() => words[at] = (*random.of(&EDGES)).to_owned(),
                2 => words.insert(at.min(words.len()), format!(" {} ", random.of(&self.words))),
                3 if !other.is_empty() => {
                    let from = random.below(other.len());
                    let some = other[from..(from + 1 + random.below(8)).min(other.len())].to_vec();
                    let at = at.min(words.len());
                    drop(words.splice(at..at, some));
                }
                4 if at < words.len() => {
                    words[at].insert(0, '(');
                    words.push(")".to_owned());
                }
                _ => words.insert(at.min(words.len()), format!(" {} ", random.of(&EDGES))),
            }
        }
        [&text[..start], words.concat().replace('\0', "").as_bytes(), &text[end..]].concat()
    }
}

fn messages(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut out = Vec::new();
    while let [kind, high, low, rest @ ..] = bytes {
        let (body, rest) = rest.split_at(usize::from(u16::from_be_bytes([*high, *low])).min(rest.len()));
        out.push((*kind, body.to_vec()));
        bytes = rest;
    }
    out
}

/// Words, numbers, and the signs between them.
fn split(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut before = false;
    for letter in text.chars() {
        let inside = letter.is_alphanumeric() || matches!(letter, '_' | '.');
        match words.last_mut() {
            Some(word) if inside && before => word.push(letter),
            _ => words.push(letter.to_string()),
        }
        before = inside;
    }
    words
}

fn random_bytes(random: &mut Random) -> Vec<u8> {
    (0..random.below(12)).map(|_| u8::try_from(random.below(256)).unwrap()).collect()
}

fn flipped(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        match random.below(4) {
            0 if at < bytes.len() => drop(bytes.remove(at)),
            1 => drop(bytes.splice(at..at, random_bytes(random))),
            _ if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ => {}
        }
    }
    bytes
}
