//! Ranges in binary: flags, and each bound with its length before it.

use crate::engine::{Format, Parameter, PgType, TimeZone, decode_parameter, range_parts};

use super::{Cells, EncodeError, EncodeSettings, Target};

/// The binary form of a range's text; `None` if it is none.
pub(super) fn binary(text: &str, element: PgType) -> Result<Option<Vec<u8>>, EncodeError> {
    let Some(parts) = range_parts(text) else { return Ok(None) };
    let mut bytes = vec![parts.flags];
    for bound in parts.bounds {
        let parameter = Parameter { format: Format::Text, value: Some(bound.into_bytes().into()) };
        // A moment's text names its zone.
        let value = decode_parameter(&parameter, element, &TimeZone::default()).map_err(|_| EncodeError::Corrupt)?;
        let array = value.to_array().map_err(|_| EncodeError::Corrupt)?;
        let mut cells = Cells::default();
        super::column(array.as_ref(), Target { pg_type: element, format: Format::Binary }, &EncodeSettings::default(), &mut cells)?;
        let cell = cells.cell(0).ok_or(EncodeError::Corrupt)?;
        bytes.extend(i32::try_from(cell.len()).map_err(|_| EncodeError::TooLong)?.to_be_bytes());
        bytes.extend(cell);
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_in_their_types_binary_form() {
        assert_eq!(binary("[1,6)", PgType::INT4).unwrap().unwrap(), [2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0, 6]);
        assert_eq!(binary("empty", PgType::INT4).unwrap().unwrap(), [1]);
        assert_eq!(binary("(,2000-01-02)", PgType::DATE).unwrap().unwrap(), [8, 0, 0, 0, 4, 0, 0, 0, 1]);
        assert_eq!(binary("x", PgType::DATE).unwrap(), None);
    }
}
