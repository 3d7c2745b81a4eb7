//! Hides the rows of erased subjects.
//!
//! INVARIANT: runs below the barrier and straight above the row filter, so no user expression sees an erased row, not even to fail
//! on it. A row without a subject is hidden. The ids are in no plan, no text and no expression. A source that aggregates is told them
//! as the value of a parameter.
//! Who is in the set is the policy's business.

use std::sync::{Arc, Weak};

use datafusion::arrow::array::{Array, ArrayRef, AsArray, BooleanArray};
use datafusion::arrow::buffer::BooleanBuffer;
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{DataType, Decimal128Type, Field, Int64Type, UInt64Type};
use datafusion::error::{DataFusionError, Result};

use crate::policy::SubjectSet;
use crate::ports::Subjects;

use super::row_filter::is_uuid;

/// A longer list stays here.
const SUBJECTS_TOLD_MAX: usize = 20_000;

/// Looks up the subject of each row in the set of the erased.
#[derive(Clone)]
pub(super) struct SubjectProbe {
    subjects: Arc<SubjectSet>,
    kind: SubjectKind,
}

/// How a subject's canonical text is had from a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SubjectKind {
    Integer,
    Unsigned,
    Decimal,
    Text,
    Uuid,
}

impl std::fmt::Debug for SubjectProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SubjectProbe").field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl SubjectProbe {
    /// A probe for that column; `None` if values of its type do not name subjects.
    pub(super) fn new(field: &Field, subjects: Arc<SubjectSet>) -> Option<Self> {
        let kind = match field.data_type() {
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32 => SubjectKind::Integer,
            DataType::UInt64 => SubjectKind::Unsigned,
            DataType::Decimal128(_, 0) => SubjectKind::Decimal,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View if is_uuid(field) => SubjectKind::Uuid,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => SubjectKind::Text,
            _ => return None,
        };
        Some(Self { subjects, kind })
    }

    /// True for each row whose subject has been erased, NULL for one without a subject.
    pub(super) fn erased(&self, subjects: &ArrayRef) -> Result<BooleanArray> {
        let visible = self.visible(subjects)?;
        Ok(BooleanArray::new(!visible.values(), subjects.logical_nulls()))
    }

    /// Whether both look in one and the same set.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.kind == other.kind && Arc::ptr_eq(&self.subjects, &other.subjects)
    }

    /// The ids, if they are few enough to be told to a source that compares them as values; none of them is a text.
    pub(super) fn few(&self) -> Option<Subjects> {
        if self.subjects.len() > SUBJECTS_TOLD_MAX {
            return None;
        }
        match self.kind {
            SubjectKind::Integer => Some(Subjects::Integers(self.subjects.iter().filter_map(|id| id.parse().ok()).collect())),
            SubjectKind::Uuid => Some(Subjects::Uuids(self.subjects.uuids().collect())),
            SubjectKind::Unsigned | SubjectKind::Decimal | SubjectKind::Text => None,
        }
    }

    /// The set itself, without holding on to it.
    pub(super) fn subjects(&self) -> Weak<SubjectSet> {
        Arc::downgrade(&self.subjects)
    }

    /// Identifies the set without looking into it.
    pub(super) fn address(&self) -> usize {
        Arc::as_ptr(&self.subjects).addr()
    }

    /// True for each row whose subject is known and not erased; never NULL.
    pub(super) fn visible(&self, subjects: &ArrayRef) -> Result<BooleanArray> {
        match self.kind {
            SubjectKind::Integer => {
                let ids = cast(subjects, &DataType::Int64)?;
                let ids = ids.as_primitive_opt::<Int64Type>().ok_or_else(wrong_type)?;
                let erased = self.subjects.integers();
                Ok(if erased.is_empty() { known(ids) } else { keep_by(ids, ids.values(), |id| !erased.contains(*id)) })
            }
            SubjectKind::Unsigned => {
                let ids = subjects.as_primitive_opt::<UInt64Type>().ok_or_else(wrong_type)?;
                Ok(keep_by(ids, ids.values(), |id| match i64::try_from(*id) {
                    Ok(id) => !self.subjects.integers().contains(id),
                    Err(_) => !self.subjects.contains(&id.to_string()),
                }))
            }
            SubjectKind::Decimal => {
                let ids = subjects.as_primitive_opt::<Decimal128Type>().ok_or_else(wrong_type)?;
                Ok(keep_by(ids, ids.values(), |id| match i64::try_from(*id) {
                    Ok(id) => !self.subjects.integers().contains(id),
                    Err(_) => !self.subjects.contains(&id.to_string()),
                }))
            }
            SubjectKind::Text => visible_texts(subjects, |text| self.subjects.contains(text.trim())),
            SubjectKind::Uuid => visible_texts(subjects, |text| self.subjects.contains_uuid(text.trim())),
        }
    }
}

fn visible_texts(subjects: &ArrayRef, erased: impl Fn(&str) -> bool) -> Result<BooleanArray> {
    if let Some(texts) = subjects.as_string_view_opt() {
        Ok(keep(texts, |row| texts.is_valid(row) && !erased(texts.value(row))))
    } else if let Some(texts) = subjects.as_string_opt::<i32>() {
        Ok(keep(texts, |row| texts.is_valid(row) && !erased(texts.value(row))))
    } else if let Some(texts) = subjects.as_string_opt::<i64>() {
        Ok(keep(texts, |row| texts.is_valid(row) && !erased(texts.value(row))))
    } else {
        Err(wrong_type())
    }
}

fn wrong_type() -> DataFusionError {
    super::Error::Internal { invariant: "a port delivers the subject column with the type of its schema" }.into()
}

fn known(subjects: &dyn Array) -> BooleanArray {
    keep(subjects, |_| true)
}

fn keep_by<T>(subjects: &dyn Array, ids: &[T], test: impl Fn(&T) -> bool) -> BooleanArray {
    keep(subjects, |row| ids.get(row).is_some_and(&test))
}

/// The rows that have a subject which passes. What stands in a row without one is tested for nothing.
fn keep(subjects: &dyn Array, test: impl FnMut(usize) -> bool) -> BooleanArray {
    let passed = BooleanBuffer::collect_bool(subjects.len(), test);
    let kept = match subjects.nulls() {
        None => passed,
        Some(known) => &passed & known.inner(),
    };
    BooleanArray::new(kept, None)
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::array::{Decimal128Array, Int32Array, StringArray, StringViewArray, UInt64Array};

    use super::*;

    fn probe(data_type: DataType, ids: &[&str]) -> SubjectProbe {
        let subjects = Arc::new(SubjectSet::new(ids.iter().map(|id| (*id).to_owned())));
        SubjectProbe::new(&Field::new("id", data_type, true), subjects).unwrap()
    }

    fn visible(probe: &SubjectProbe, subjects: ArrayRef) -> Vec<bool> {
        probe.visible(&subjects).unwrap().iter().map(Option::unwrap).collect()
    }

    #[test]
    fn integers_are_matched_by_value_and_null_is_hidden() {
        let probe = probe(DataType::Int32, &["7", "-3", "x"]);
        assert_eq!(visible(&probe, Arc::new(Int32Array::from(vec![Some(7), Some(8), None, Some(-3)]))), [false, true, false, false]);
    }

    #[test]
    fn null_is_hidden_when_nobody_is_erased() {
        let probe = probe(DataType::Int32, &[]);
        assert_eq!(visible(&probe, Arc::new(Int32Array::from(vec![Some(7), None]))), [true, false]);
    }

    #[test]
    fn numbers_beyond_64_bits_are_matched_by_text() {
        let probe = probe(DataType::UInt64, &["18446744073709551615"]);
        assert_eq!(visible(&probe, Arc::new(UInt64Array::from(vec![u64::MAX, 1]))), [false, true]);
    }

    #[test]
    fn decimals_without_a_fraction_are_matched_by_value() {
        let probe = probe(DataType::Decimal128(20, 0), &["12", "99999999999999999999"]);
        let ids = Decimal128Array::from(vec![12, 13, 99_999_999_999_999_999_999]).with_precision_and_scale(20, 0).unwrap();
        assert_eq!(visible(&probe, Arc::new(ids)), [false, true, false]);
    }

    #[test]
    fn texts_are_matched_without_surrounding_space() {
        let ids = ["a", "b"];
        let texts = vec![Some("a "), Some("c"), None, Some("B")];
        assert_eq!(visible(&probe(DataType::Utf8View, &ids), Arc::new(StringViewArray::from(texts.clone()))), [false, true, false, true]);
        assert_eq!(visible(&probe(DataType::Utf8, &ids), Arc::new(StringArray::from(texts))), [false, true, false, true]);
    }

    fn uuid_probe(ids: &[&str]) -> SubjectProbe {
        let field = Field::new("id", DataType::Utf8, true).with_metadata([("pg.type".to_owned(), "uuid".to_owned())].into());
        SubjectProbe::new(&field, Arc::new(SubjectSet::new(ids.iter().map(|id| (*id).to_owned())))).unwrap()
    }

    #[test]
    fn uuids_are_matched_by_value_however_list_and_source_spell_them() {
        let spellings = [
            "6f9619ff-8b86-d011-b42d-00cf4fc964ff",
            "6F9619FF-8b86-d011-b42d-00cf4fc964ff",
            "6f9619ff8b86d011b42d00cf4fc964ff",
            "{6f9619ff-8b86-d011-b42d-00cf4fc964ff}",
            "{6F9619FF8B86D011B42D00CF4FC964FF}",
            "6f96-19ff-8b86-d011-b42d-00cf-4fc9-64ff",
        ];
        let mut read = spellings.to_vec();
        read.push("7f9619ff-8b86-d011-b42d-00cf4fc964ff");
        for erased in spellings {
            let probe = uuid_probe(&[erased]);
            let shown = visible(&probe, Arc::new(StringArray::from(read.clone())));
            assert_eq!(shown, [false, false, false, false, false, false, true], "{erased}");
            // A source that compares them itself is told the same person.
            let Some(Subjects::Uuids(told)) = probe.few() else { panic!("not told") };
            assert_eq!(told.iter().map(ToString::to_string).collect::<Vec<_>>(), [spellings[0]], "{erased}");
        }
    }

    #[test]
    fn what_is_no_uuid_names_nobody_in_a_column_of_uuids() {
        let probe = uuid_probe(&["6f9619ff-8b86-d011-b42d-00cf4fc964f", "c-7", "{6f9619ff-8b86-d011-b42d-00cf4fc964ff"]);
        assert_eq!(visible(&probe, Arc::new(StringArray::from(vec!["6f9619ff-8b86-d011-b42d-00cf4fc964ff"]))), [true]);
        assert!(matches!(probe.few(), Some(Subjects::Uuids(told)) if told.is_empty()));
    }

    #[test]
    fn a_float_names_no_subject() {
        assert!(SubjectProbe::new(&Field::new("id", DataType::Float64, true), Arc::default()).is_none());
    }
}
