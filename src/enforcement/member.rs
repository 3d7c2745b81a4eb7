//! Membership in a set of subjects as a condition: for rules that are more than the exclusion of the erased.
//!
//! INVARIANT: the set stays behind a pointer. Its ids are in no literal, no plan and no text, and a probe cannot fail on any row.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field};
use datafusion::error::Result;
use datafusion::logical_expr::{ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

use crate::policy::SubjectSet;

use super::exclusion::SubjectProbe;

/// `column` names one of the people; `None` if values of its type name nobody.
pub(super) fn is_member(column: Expr, field: &Field, set: &Arc<SubjectSet>) -> Option<Expr> {
    let probe = SubjectProbe::new(field, Arc::clone(set))?;
    let signature = Signature::any(1, Volatility::Immutable);
    let function = ScalarUDF::new_from_impl(IsMember { probe, signature });
    Some(function.call(vec![column]))
}

#[derive(Debug)]
struct IsMember {
    probe: SubjectProbe,
    signature: Signature,
}

impl PartialEq for IsMember {
    fn eq(&self, other: &Self) -> bool {
        self.probe.is_same(&other.probe)
    }
}

impl Eq for IsMember {}

impl Hash for IsMember {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.probe.address().hash(state);
    }
}

impl ScalarUDFImpl for IsMember {
    fn name(&self) -> &'static str {
        "is_member"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let invariant = "membership is asked of one column";
        let subjects = args.args.first().ok_or(super::Error::Internal { invariant })?.to_array(args.number_rows)?;
        Ok(ColumnarValue::Array(Arc::new(self.probe.erased(&subjects)?)))
    }
}
