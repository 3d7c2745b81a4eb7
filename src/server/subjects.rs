//! Reads a list of erased people: one id a line, or the first column of a CSV file.
//!
//! A first line `subject_id` is a header, `#` starts a comment. Programs that write tables put a byte order mark before the first id, and
//! quotes around ids with commas: neither is part of an id.
//! INVARIANT: erased people do not come back because a list was emptied, cut off or mistaken for another while the gateway served.

use crate::policy::SubjectSet;

/// The ids of a list, in its order.
///
/// # Errors
/// It is no text.
pub(super) fn read(bytes: &[u8]) -> Result<Vec<String>, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the list is not UTF-8")?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let ids = text.lines().enumerate().filter_map(|(at, line)| {
        let line = line.trim();
        let id = first_field(line);
        let header = at == 0 && id.eq_ignore_ascii_case("subject_id");
        (!header && !id.is_empty() && !line.starts_with('#')).then_some(id)
    });
    Ok(ids.collect())
}

/// Why a list is not taken over in place of the one that serves: most of its people would be visible again.
pub(super) fn losses(serving: &SubjectSet, next: &SubjectSet) -> Option<String> {
    let (gone, listed) = (serving.count_gone(next), serving.len());
    (gone > listed / 2).then(|| {
        format!(
            "{gone} of {listed} people are no longer in the erasure list and would be visible again (Restore the list. If they are to be \
             visible, start the gateway anew, which takes the list as it is, or serve with the flag that allows lower protection.)"
        )
    })
}

/// The first field of a line of CSV, without its quotes and the spaces around it.
fn first_field(line: &str) -> String {
    let plain = || line.split(',').next().unwrap_or_default().trim().trim_matches('"').trim().to_owned();
    let Some(quoted) = line.strip_prefix('"') else { return plain() };
    let mut field = String::new();
    let mut letters = quoted.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if letters.next_if_eq(&'"').is_some() => field.push('"'),
            '"' => return field.trim().to_owned(),
            _ => field.push(letter),
        }
    }
    // The quotes have no end on this line: they are none.
    plain()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_none_of_the_first_id() {
        assert_eq!(read("\u{feff}1001\n1002\n".as_bytes()).unwrap(), ["1001", "1002"]);
        assert_eq!(read("\u{feff}subject_id,when\r\n1001,today\r\n".as_bytes()).unwrap(), ["1001"]);
    }

    #[test]
    fn an_id_in_quotes_is_what_they_hold() {
        let list = "\"a,b\",today\n\"say \"\"x\"\", twice\"\n\" c \",1\n\"#1\"\n\"open,1\nplain,1\n";
        assert_eq!(read(list.as_bytes()).unwrap(), ["a,b", "say \"x\", twice", "c", "#1", "open", "plain"]);
    }

    #[test]
    fn a_list_that_loses_most_of_its_people_is_told_from_one_that_is_written_anew() {
        let set = |ids: &[&str]| SubjectSet::new(ids.iter().map(|id| (*id).to_owned()));
        let serving = set(&["1", "22", "c-3", "6f9619ff-8b86-d011-b42d-00cf4fc964ff"]);
        assert_eq!(losses(&serving, &serving), None);
        assert_eq!(losses(&serving, &set(&["c-3", "022"])), None, "half of them");
        assert_eq!(losses(&serving, &set(&["001", "22", "{6F9619FF8B86D011B42D00CF4FC964FF}"])), None, "spelled otherwise");
        for lost in [&["22", "8", "9", "10"][..], &[]] {
            let fault = losses(&serving, &set(lost)).unwrap();
            assert!(
                fault.starts_with(&format!("{} of 4 people", if lost.is_empty() { 4 } else { 3 })) && !fault.contains("c-3"),
                "{fault}"
            );
        }
        assert_eq!((losses(&set(&[]), &set(&[])), losses(&set(&[]), &serving)), (None, None));
        assert!(losses(&set(&["7"]), &set(&[])).is_some());
    }

    #[test]
    fn headers_comments_and_empty_lines_are_no_ids() {
        assert_eq!(read(b"Subject_ID\n\n # none\n7\n\"\"\nsubject_id\n").unwrap(), ["7", "subject_id"]);
        assert!(read(&[0xff, 0xfe]).is_err());
    }
}
