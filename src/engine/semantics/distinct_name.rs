//! What the engine calls a call of a function: it asks for this name at every level of an expression each time that it asks for a type, so that names
//! as long as the expression make planning take the cube of its length.

use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Expr;

use super::function::Result;

/// Parts of the arguments that a name spells out.
const PARTS_MAX: usize = 48;

/// Of the process alone, so that nobody can find two expressions of one name.
static KEYS: LazyLock<RandomState> = LazyLock::new(RandomState::new);

/// As the engine names it, unless it is long: then by a hash of its arguments, which differs where they do.
pub(super) fn of_call(function: &str, args: &[Expr]) -> Result<String> {
    if is_short(args)? {
        let args: Vec<String> = args.iter().map(|arg| arg.schema_name().to_string()).collect();
        return Ok(format!("{function}({})", args.join(",")));
    }
    Ok(format!("{function}(#{:016x})", KEYS.hash_one(args)))
}

fn is_short(args: &[Expr]) -> Result<bool> {
    let mut parts = 0;
    for arg in args {
        arg.apply(|_| {
            parts += 1;
            Ok(if parts > PARTS_MAX { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if parts > PARTS_MAX {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use datafusion::logical_expr::{col, lit};

    use super::*;

    fn sum(terms: usize, last: &str) -> Expr {
        (1..terms).fold(col(last), |sum, _| sum + lit(1))
    }

    #[test]
    fn a_short_call_is_spelled_out() {
        assert_eq!(of_call("add", &[col("a"), lit(1)]).unwrap(), "add(a,Int32(1))");
    }

    #[test]
    fn long_calls_have_short_names_that_differ_where_they_do() {
        let name = |last: &str| of_call("add", &[sum(200, last), lit(1)]).unwrap();
        assert!(name("a").len() < 32);
        assert_eq!(name("a"), name("a"));
        assert_ne!(name("a"), name("b"));
    }
}
