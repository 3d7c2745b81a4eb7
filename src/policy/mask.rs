//! Column masks by their names (those of the Iceberg read restrictions, and our own).

/// What replaces a value that may not be seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Mask {
    /// `replace-with-null`
    Null,
    /// `redact`: a constant of the column's type: the text `***` (cut to the column's limit), 0, false, 1970-01-01.
    Redact,
    /// `show-last-4`: all but the last four characters become `X`... text only.
    ShowLast4,
    /// `mask-alphanum`: letters become `x`, digits `n`; text only.
    MaskAlphanum,
    /// `truncate-to-year`: dates and timestamps only.
    TruncateToYear,
    /// `truncate-to-month`: dates and timestamps only.
    TruncateToMonth,
    /// `sha-256-global`: hex SHA-256 of the UTF-8 text; text only.
    Sha256Global,
}

impl Mask {
    /// The mask of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "replace-with-null" => Self::Null,
            "redact" => Self::Redact,
            "show-last-4" => Self::ShowLast4,
            "mask-alphanum" => Self::MaskAlphanum,
            "truncate-to-year" => Self::TruncateToYear,
            "truncate-to-month" => Self::TruncateToMonth,
            "sha-256-global" => Self::Sha256Global,
            _ => return None,
        })
    }

    /// Its name.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Null => "replace-with-null",
            Self::Redact => "redact",
            Self::ShowLast4 => "show-last-4",
            Self::MaskAlphanum => "mask-alphanum",
            Self::TruncateToYear => "truncate-to-year",
            Self::TruncateToMonth => "truncate-to-month",
            Self::Sha256Global => "sha-256-global",
        }
    }
}

impl std::fmt::Display for Mask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl serde::Serialize for Mask {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
