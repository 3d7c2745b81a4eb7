//! Values within a line of COPY: what is escaped, what is quoted, what stands for NULL.

use crate::engine::CopyFormat;

/// What numbers, dates and truth values are written with.
const PLAIN: &[u8] = b"0123456789+-.: ";

/// How the lines of a COPY are written.
#[derive(Debug, Clone)]
pub(in crate::wire) struct Lines {
    delimiter: u8,
    null: Vec<u8>,
    marks: Marks,
    /// The bytes that cannot stand as they are.
    special: [bool; 256],
    /// Whether numbers and dates can always stand as they are.
    numbers_are_plain: bool,
}

#[derive(Debug, Clone)]
enum Marks {
    /// A backslash stands before what is special.
    Escaped,
    /// A value that holds what is special stands in quotes.
    Quoted { quote: u8, escape: u8, force: Vec<usize> },
}

/// How the values of one column are written.
#[derive(Debug, Clone, Copy)]
pub(in crate::wire) struct LineCell<'a> {
    lines: &'a Lines,
    /// What follows a value.
    pub(super) end: u8,
    forced: bool,
    /// Whether it is the only column.
    alone: bool,
}

impl Lines {
    /// The lines of a format; `None`: it has none.
    pub(in crate::wire) fn of(format: &CopyFormat) -> Option<Self> {
        let mut special = [false; 256];
        let mut mark = |bytes: &[u8]| {
            for byte in bytes {
                if let Some(marked) = special.get_mut(usize::from(*byte)) {
                    *marked = true;
                }
            }
        };
        let (delimiter, null, marks) = match format {
            CopyFormat::Binary => return None,
            CopyFormat::Text { delimiter, null, .. } => {
                mark(&[0x08, 0x0c, b'\n', b'\r', b'\t', 0x0b, b'\\', *delimiter]);
                (*delimiter, null, Marks::Escaped)
            }
            CopyFormat::Csv { delimiter, null, quote, escape, force_quote, .. } => {
                mark(&[*delimiter, *quote, b'\n', b'\r']);
                (*delimiter, null, Marks::Quoted { quote: *quote, escape: *escape, force: force_quote.clone() })
            }
        };
        let null = null.as_bytes().to_vec();
        let plain_null = matches!(marks, Marks::Escaped) || null.is_empty() || null.iter().any(|byte| !PLAIN.contains(byte));
        let numbers_are_plain = plain_null && PLAIN.iter().all(|byte| !special.get(usize::from(*byte)).copied().unwrap_or(true));
        Some(Self { delimiter, null, marks, special, numbers_are_plain })
    }

    /// How a column of so many is written.
    pub(super) fn cell(&self, column: usize, columns: usize) -> LineCell<'_> {
        let end = if column + 1 == columns { b'\n' } else { self.delimiter };
        let forced = matches!(&self.marks, Marks::Quoted { force, .. } if force.contains(&column));
        LineCell { lines: self, end, forced, alone: columns == 1 }
    }

    /// Names as the first line.
    pub(in crate::wire) fn header<'a>(&self, names: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
        let plain = match &self.marks {
            Marks::Escaped => self.clone(),
            // FORCE_QUOTE is for values.
            Marks::Quoted { quote, escape, .. } => {
                Self { marks: Marks::Quoted { quote: *quote, escape: *escape, force: Vec::new() }, ..self.clone() }
            }
        };
        let count = names.len();
        let mut line = Vec::new();
        for (index, name) in names.enumerate() {
            let cell = plain.cell(index, count);
            let start = line.len();
            line.resize(start + cell.length_of(name), 0);
            if let Some(place) = line.get_mut(start..) {
                cell.put(name, place);
            }
            line.push(cell.end);
        }
        if count == 0 {
            line.push(b'\n');
        }
        line
    }

    fn is_special(&self, byte: u8) -> bool {
        self.special.get(usize::from(byte)).copied().unwrap_or(true)
    }
}

impl LineCell<'_> {
    /// What stands for NULL.
    pub(super) fn null(&self) -> &[u8] {
        &self.lines.null
    }

    /// Whether numbers and dates of this column stand as they are.
    pub(super) fn numbers_are_plain(&self) -> bool {
        self.lines.numbers_are_plain && !self.forced
    }

    /// How many bytes a value takes.
    pub(super) fn length_of(&self, value: &[u8]) -> usize {
        match &self.lines.marks {
            Marks::Escaped => value.len() + value.iter().filter(|byte| self.lines.is_special(**byte)).count(),
            Marks::Quoted { quote, escape, .. } if self.needs_quotes(value) => {
                value.len() + 2 + value.iter().filter(|byte| *byte == quote || *byte == escape).count()
            }
            Marks::Quoted { .. } => value.len(),
        }
    }

    /// Writes a value to a place of the length that [`Self::length_of`] told.
    pub(super) fn put(&self, value: &[u8], place: &mut [u8]) {
        if place.len() == value.len() {
            place.copy_from_slice(value);
            return;
        }
        let mut places = place.iter_mut();
        let mut put = |byte: u8| {
            if let Some(place) = places.next() {
                *place = byte;
            }
        };
        match &self.lines.marks {
            Marks::Escaped => {
                for byte in value {
                    if self.lines.is_special(*byte) {
                        put(b'\\');
                        put(letter(*byte));
                    } else {
                        put(*byte);
                    }
                }
            }
            Marks::Quoted { quote, escape, .. } => {
                put(*quote);
                for byte in value {
                    if byte == quote || byte == escape {
                        put(*escape);
                    }
                    put(*byte);
                }
                put(*quote);
            }
        }
    }

    /// A value that reads as NULL, as the end of data, or that holds a mark of the format.
    fn needs_quotes(&self, value: &[u8]) -> bool {
        self.forced || value == self.lines.null || self.alone && value == b"\\." || value.iter().any(|byte| self.lines.is_special(*byte))
    }
}

/// What stands behind the backslash.
fn letter(byte: u8) -> u8 {
    match byte {
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x0b => b'v',
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(lines: &Lines, values: &[Option<&[u8]>]) -> Vec<u8> {
        let mut line = Vec::new();
        for (index, value) in values.iter().enumerate() {
            let cell = lines.cell(index, values.len());
            match value {
                None => line.extend(cell.null()),
                Some(value) => {
                    let mut place = vec![0; cell.length_of(value)];
                    cell.put(value, &mut place);
                    line.extend(place);
                }
            }
            line.push(cell.end);
        }
        line
    }

    fn csv(null: &str, force_quote: Vec<usize>) -> Lines {
        let format = CopyFormat::Csv { delimiter: b',', null: null.to_owned(), header: true, quote: b'"', escape: b'"', force_quote };
        Lines::of(&format).unwrap()
    }

    #[test]
    fn text_escapes_what_the_format_uses() {
        let lines = Lines::of(&CopyFormat::Text { delimiter: b'\t', null: "\\N".to_owned(), header: false }).unwrap();
        let written = line(&lines, &[Some(b"a\tb\\c\n"), None, Some(b"\x08\x0b")]);
        assert_eq!(written, b"a\\tb\\\\c\\n\t\\N\t\\b\\v\n");
        assert_eq!(lines.header([&b"a\tb"[..], b"c"].into_iter()), b"a\\tb\tc\n");
        assert_eq!(lines.header(std::iter::empty()), b"\n");
    }

    #[test]
    fn csv_quotes_only_where_it_must() {
        let lines = csv("", vec![3]);
        let written = line(&lines, &[Some(b"a,b"), None, Some(b""), Some(b"x"), Some(b"say \"hi\""), Some(b"plain")]);
        assert_eq!(written, &b"\"a,b\",,\"\",\"x\",\"say \"\"hi\"\"\",plain\n"[..]);
        assert_eq!(line(&lines, &[Some(b"\\.")]), b"\"\\.\"\n");
        assert_eq!(lines.header([&b"a"[..], b"b", b"c", b"d,"].into_iter()), b"a,b,c,\"d,\"\n");
    }

    #[test]
    fn numbers_are_looked_at_where_they_could_be_marks() {
        let plain = |lines: &Lines| lines.cell(0, 2).numbers_are_plain();
        assert!(plain(&csv("", vec![1])) && plain(&csv("NULL", vec![])));
        assert!(!plain(&csv("-1", vec![])) && !plain(&csv("", vec![0])));
        let text = |delimiter| Lines::of(&CopyFormat::Text { delimiter, null: "0".to_owned(), header: false }).unwrap();
        assert!(plain(&text(b'|')) && !plain(&text(b'-')));
    }
}
