//! Privileges as PostgreSQL writes them: `grantee=letters/grantor`.

/// The letter of each privilege.
const LETTERS: [(char, &str); 14] = [
    ('a', "INSERT"),
    ('r', "SELECT"),
    ('w', "UPDATE"),
    ('d', "DELETE"),
    ('D', "TRUNCATE"),
    ('x', "REFERENCES"),
    ('t', "TRIGGER"),
    ('X', "EXECUTE"),
    ('U', "USAGE"),
    ('C', "CREATE"),
    ('T', "TEMPORARY"),
    ('c', "CONNECT"),
    ('s', "SET"),
    ('A', "ALTER SYSTEM"),
];

/// The letters of privileges by their names, in the order in which PostgreSQL lists them. The error is the name that there is not.
pub(crate) fn letters<'a>(names: impl Iterator<Item = &'a str>, on: bool) -> Result<String, &'a str> {
    let mut wanted = Vec::new();
    for name in names {
        let same =
            |(_, known): &&(char, &str)| known.eq_ignore_ascii_case(name) || (*known == "TEMPORARY" && name.eq_ignore_ascii_case("temp"));
        wanted.push(LETTERS.iter().find(same).ok_or(name)?.0);
    }
    let listed = LETTERS.iter().filter(|(letter, _)| wanted.contains(letter));
    Ok(listed.map(|(letter, _)| if on { format!("{letter}*") } else { letter.to_string() }).collect())
}

/// What one role grants to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// To whom; everybody has no name.
    pub(crate) grantee: String,
    /// By whom.
    pub(crate) grantor: String,
    /// What, and whether it may be granted on.
    pub(crate) privileges: Vec<(&'static str, bool)>,
}

/// The text of a grant of these letters.
pub(crate) fn item(grantee: &str, letters: &str, grantor: &str) -> String {
    format!("{}={letters}/{}", written(grantee), written(grantor))
}

fn written(name: &str) -> String {
    let plain = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}

/// Reads such a text.
pub(crate) fn parse(text: &str) -> Option<Grant> {
    let (grantee, rest) = name(text)?;
    let (letters, grantor) = rest.strip_prefix('=')?.split_once('/')?;
    let (grantor, rest) = name(grantor)?;
    let mut privileges: Vec<(&'static str, bool)> = Vec::new();
    for letter in letters.chars() {
        match letter {
            '*' => privileges.last_mut()?.1 = true,
            letter => privileges.push((LETTERS.iter().find(|(known, _)| *known == letter)?.1, false)),
        }
    }
    rest.is_empty().then_some(Grant { grantee, grantor, privileges })
}

/// A name at the front of a text, and what follows it.
fn name(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('"') else {
        let end = text.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(text.len());
        return text.split_at_checked(end).map(|(name, rest)| (name.to_owned(), rest));
    };
    let mut found = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        found.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                found.push('"');
                rest = more;
            }
            None => return Some((found, after)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn privileges_have_letters_in_one_order() {
        assert_eq!(letters(["update", "SELECT", "temp"].into_iter(), true).as_deref(), Ok("r*w*T*"));
        assert_eq!(letters(["select", "fly"].into_iter(), false), Err("fly"));
    }

    #[test]
    fn a_grant_is_read_as_it_is_written() {
        assert_eq!(item("steward", "r", "Team A"), "steward=r/\"Team A\"");
        let privileges = vec![("SELECT", true), ("INSERT", false)];
        let grant = Grant { grantee: "a\"b".to_owned(), grantor: "postgres".to_owned(), privileges };
        assert_eq!(parse("\"a\"\"b\"=r*a/postgres"), Some(grant));
        assert_eq!(parse("=X/postgres").map(|grant| grant.grantee), Some(String::new()));
        for wrong in ["", "a", "a=?/b", "a=r", "a=*/b", "\"a=r/b", "a=r/b c"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }
}
