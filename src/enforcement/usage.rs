//! Which fields of which products a plan reads, and how.
//!
//! INVARIANT: errs on the side of more. A node or an expression that is not known here counts as reading all columns of its inputs.
//! What is wanted of a node's output is carried down to its inputs, column by column, as the optimizer prunes projections;
//! a field that nothing above refers to is not read. Subqueries in expressions are part of the plan.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchemaRef, JoinType, SchemaError};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Aggregate, Distinct, Expr, Join, LogicalPlan, TableScan, Unnest};

use crate::policy::{FieldUse, RequestedField};
use crate::product::{FieldName, PortName, Product};

use super::Error;
use super::table::GovernedTable;

/// What a plan reads of one port of one product.
#[derive(Debug, Clone)]
pub struct ProductUse {
    /// The product.
    pub product: Arc<Product>,
    /// The port.
    pub port: PortName,
    /// The fields that are read, in the order of the schema; empty if only rows are counted.
    pub fields: Vec<RequestedField>,
}

/// Lists the products that an analyzed plan reads, each port once, in the order in which they are met.
///
/// The plan must be analyzed and not optimized: an optimized plan may have lost columns that the statement names.
pub fn observe(plan: &LogicalPlan) -> Result<Vec<ProductUse>, Error> {
    let mut observer = Observer::default();
    observer.visit(plan, &vec![Uses::of(FieldUse::Projected); plan.schema().fields().len()])?;
    if observer.outer.iter().any(|outer| !outer.resolved) {
        return Err(Error::Internal { invariant: "every outer column of a subquery belongs to an enclosing query" });
    }
    observer.scans.into_iter().map(Observed::into_use).collect()
}

/// A set of [`FieldUse`]s; empty means not read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Uses(u8);

const ALL_USES: [FieldUse; 6] =
    [FieldUse::Projected, FieldUse::Filtered, FieldUse::Joined, FieldUse::Grouped, FieldUse::Sorted, FieldUse::Aggregated];

impl Uses {
    const NONE: Self = Self(0);

    fn of(field_use: FieldUse) -> Self {
        Self(match field_use {
            FieldUse::Projected => 1,
            FieldUse::Filtered => 2,
            FieldUse::Joined => 4,
            FieldUse::Grouped => 8,
            FieldUse::Sorted => 16,
            FieldUse::Aggregated => 32,
        })
    }

    fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    fn with(self, field_use: FieldUse) -> Self {
        self.and(Self::of(field_use))
    }

    /// As `with`, but what is not wanted stays unwanted.
    fn through(self, field_use: FieldUse) -> Self {
        if self == Self::NONE { self } else { self.with(field_use) }
    }

    fn any_of(all: &[Self]) -> Self {
        all.iter().fold(Self::NONE, |sum, uses| sum.and(*uses))
    }

    fn into_vec(self) -> Vec<FieldUse> {
        ALL_USES.into_iter().filter(|field_use| self.0 & Self::of(*field_use).0 != 0).collect()
    }
}

/// A column that no input has: the planner takes any that has a qualifier in ORDER BY.
fn unknown_column(column: &Column, inputs: &[Input]) -> DataFusionError {
    let valid_fields = inputs.iter().flat_map(|input| input.schema.columns()).collect();
    DataFusionError::SchemaError(Box::new(SchemaError::FieldNotFound { field: Box::new(column.clone()), valid_fields }), Box::new(None))
}

/// An input of the node at hand, and what is wanted of its columns.
struct Input {
    schema: DFSchemaRef,
    wanted: Vec<Uses>,
}

impl Input {
    fn new(plan: &LogicalPlan) -> Self {
        Self { schema: Arc::clone(plan.schema()), wanted: vec![Uses::NONE; plan.schema().fields().len()] }
    }

    /// Marks every column that the name can mean.
    fn mark(&mut self, column: &Column, uses: Uses) -> bool {
        let mut found = false;
        for ((qualifier, field), wanted) in self.schema.iter().zip(&mut self.wanted) {
            let same_relation = match (&column.relation, qualifier) {
                (Some(relation), Some(qualifier)) => relation.resolved_eq(qualifier),
                (Some(_), None) => false,
                (None, _) => true,
            };
            if same_relation && field.name() == &column.name {
                *wanted = wanted.and(uses);
                found = true;
            }
        }
        found
    }

    fn mark_all(&mut self, uses: Uses) {
        self.wanted.iter_mut().for_each(|wanted| *wanted = wanted.and(uses));
    }

    /// Wants of each column what is wanted of the output at the same position.
    fn mark_by_position(&mut self, wanted: &[Uses]) {
        if self.wanted.len() == wanted.len() {
            self.wanted.iter_mut().zip(wanted).for_each(|(mine, theirs)| *mine = mine.and(*theirs));
        } else {
            self.mark_all(Uses::any_of(wanted).with(FieldUse::Projected));
        }
    }
}

/// A column of an enclosing query that a subquery refers to.
struct OuterColumn {
    column: Column,
    uses: Uses,
    resolved: bool,
}

/// One port of a product, with what is read of each column.
struct Observed {
    product: Arc<Product>,
    port: PortName,
    columns: Vec<(String, Uses)>,
}

impl Observed {
    fn into_use(self) -> Result<ProductUse, Error> {
        let Self { product, port, columns } = self;
        let fields = columns
            .into_iter()
            .filter(|(_, uses)| *uses != Uses::NONE)
            .map(|(name, uses)| Ok(RequestedField { name: FieldName::parse(&name)?, uses: uses.into_vec() }))
            .collect::<Result<Vec<_>, crate::product::NameError>>()
            .map_err(|source| Error::UnusableName { product: product.reference.clone(), source })?;
        Ok(ProductUse { product, port, fields })
    }
}

#[derive(Default)]
struct Observer {
    scans: Vec<Observed>,
    outer: Vec<OuterColumn>,
}

impl Observer {
    /// Visits a node of whose output columns `wanted` is wanted.
    fn visit(&mut self, plan: &LogicalPlan, wanted: &[Uses]) -> Result<()> {
        let outer_before = self.outer.len();
        let children = plan.inputs();
        let mut inputs: Vec<Input> = children.iter().map(|child| Input::new(child)).collect();
        self.node(plan, wanted, &mut inputs)?;
        self.resolve_outer(outer_before, &mut inputs);
        let is_join = matches!(plan, LogicalPlan::Join(_));
        for (index, child) in children.iter().enumerate().rev() {
            let outer_before = self.outer.len();
            let (before, from) = inputs.split_at_mut(index);
            let Some(input) = from.first() else { continue };
            self.visit(child, &input.wanted)?;
            // A lateral subquery on the right of a join refers to columns on its left.
            if is_join {
                self.resolve_outer(outer_before, before);
            }
        }
        Ok(())
    }

    fn node(&mut self, plan: &LogicalPlan, wanted: &[Uses], inputs: &mut [Input]) -> Result<()> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, wanted),
            LogicalPlan::Projection(projection) => self.each(&projection.expr, wanted, inputs),
            LogicalPlan::Aggregate(aggregate) => self.aggregate(aggregate, wanted, inputs),
            LogicalPlan::Join(join) => self.join(join, wanted, inputs),
            LogicalPlan::Unnest(unnest) => {
                unnest_columns(unnest, wanted, inputs);
                Ok(())
            }
            LogicalPlan::Window(window) => {
                let passed = wanted.len().saturating_sub(window.window_expr.len());
                let (columns, windows) = wanted.split_at(passed);
                inputs.iter_mut().for_each(|input| input.mark_by_position(columns));
                let windows: Vec<Uses> = windows.iter().map(|uses| uses.through(FieldUse::Aggregated)).collect();
                self.each(&window.window_expr, &windows, inputs)
            }
            LogicalPlan::Filter(_) | LogicalPlan::Limit(_) | LogicalPlan::Repartition(_) => {
                self.pass_through(plan, wanted, FieldUse::Filtered, inputs)
            }
            LogicalPlan::Sort(_) => self.pass_through(plan, wanted, FieldUse::Sorted, inputs),
            LogicalPlan::Union(_) | LogicalPlan::SubqueryAlias(_) | LogicalPlan::Subquery(_) => {
                inputs.iter_mut().for_each(|input| input.mark_by_position(wanted));
                Ok(())
            }
            LogicalPlan::Distinct(Distinct::All(_)) => {
                let wanted: Vec<Uses> = wanted.iter().map(|uses| uses.with(FieldUse::Grouped)).collect();
                inputs.iter_mut().for_each(|input| input.mark_by_position(&wanted));
                Ok(())
            }
            LogicalPlan::Distinct(Distinct::On(distinct)) => {
                let select = Uses::any_of(wanted).with(FieldUse::Projected);
                distinct.select_expr.iter().try_for_each(|expr| self.expression(expr, select, inputs))?;
                distinct.on_expr.iter().try_for_each(|expr| self.expression(expr, Uses::of(FieldUse::Grouped), inputs))?;
                let sorts = distinct.sort_expr.iter().flatten();
                sorts.map(|sort| &sort.expr).try_for_each(|expr| self.expression(expr, Uses::of(FieldUse::Sorted), inputs))
            }
            _ => {
                inputs.iter_mut().for_each(|input| input.mark_all(Uses::of(FieldUse::Projected)));
                self.own_expressions(plan, Uses::of(FieldUse::Projected), inputs)
            }
        }
    }

    fn scan(&mut self, scan: &TableScan, wanted: &[Uses]) -> Result<()> {
        let Some(table) = GovernedTable::of_scan(scan) else { return Ok(()) };
        let known = self.scans.iter().position(|seen| seen.product.reference == table.product().reference && &seen.port == table.port());
        let index = known.unwrap_or_else(|| {
            let columns = scan.source.schema().fields().iter().map(|field| (field.name().clone(), Uses::NONE)).collect();
            self.scans.push(Observed { product: Arc::clone(table.product()), port: table.port().clone(), columns });
            self.scans.len().saturating_sub(1)
        });
        let Some(seen) = self.scans.get_mut(index) else { return Ok(()) };
        for (position, uses) in wanted.iter().enumerate() {
            let column = match &scan.projection {
                Some(projection) => projection.get(position).copied(),
                None => Some(position),
            };
            let Some((_, known)) = column.and_then(|column| seen.columns.get_mut(column)) else {
                return Err(Error::Internal { invariant: "a scan's output columns are columns of its table" }.into());
            };
            *known = known.and(*uses);
        }
        for column in scan.filters.iter().flat_map(Expr::column_refs) {
            let read = seen.columns.iter_mut().filter(|(name, _)| name == &column.name);
            read.for_each(|(_, uses)| *uses = uses.with(FieldUse::Filtered));
        }
        Ok(())
    }

    fn aggregate(&mut self, aggregate: &Aggregate, wanted: &[Uses], inputs: &mut [Input]) -> Result<()> {
        let groups = wanted.len().saturating_sub(aggregate.aggr_expr.len());
        let (groups, aggregates) = wanted.split_at(groups);
        // With grouping sets the output columns do not stand one to one for the expressions.
        let of_all_groups = Uses::any_of(groups).with(FieldUse::Grouped);
        for (index, expr) in aggregate.group_expr.iter().enumerate() {
            let uses = match groups.get(index) {
                Some(uses) if groups.len() == aggregate.group_expr.len() => uses.with(FieldUse::Grouped),
                _ => of_all_groups,
            };
            self.expression(expr, uses, inputs)?;
        }
        // The optimizer makes the argument of a DISTINCT a key of groups before it looks whether the result is wanted, and then reads it.
        let used = |(uses, expr): (&Uses, &Expr)| {
            if is_distinct(expr) { uses.with(FieldUse::Aggregated) } else { uses.through(FieldUse::Aggregated) }
        };
        let aggregates: Vec<Uses> = aggregates.iter().zip(&aggregate.aggr_expr).map(used).collect();
        self.each(&aggregate.aggr_expr, &aggregates, inputs)
    }

    fn join(&mut self, join: &Join, wanted: &[Uses], inputs: &mut [Input]) -> Result<()> {
        if let [left, right] = inputs {
            match join.join_type {
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full
                    if wanted.len() == left.wanted.len() + right.wanted.len() =>
                {
                    let (of_left, of_right) = wanted.split_at(left.wanted.len());
                    left.mark_by_position(of_left);
                    right.mark_by_position(of_right);
                }
                JoinType::LeftSemi | JoinType::LeftAnti => left.mark_by_position(wanted),
                JoinType::RightSemi | JoinType::RightAnti => right.mark_by_position(wanted),
                _ => {
                    left.mark_all(Uses::of(FieldUse::Projected));
                    right.mark_all(Uses::of(FieldUse::Projected));
                }
            }
        }
        let joined = Uses::of(FieldUse::Joined);
        for (left, right) in &join.on {
            self.expression(left, joined, inputs)?;
            self.expression(right, joined, inputs)?;
        }
        join.filter.iter().try_for_each(|filter| self.expression(filter, joined, inputs))
    }

    /// A node that hands its input's columns on and reads some of them itself.
    fn pass_through(&mut self, plan: &LogicalPlan, wanted: &[Uses], own: FieldUse, inputs: &mut [Input]) -> Result<()> {
        inputs.iter_mut().for_each(|input| input.mark_by_position(wanted));
        self.own_expressions(plan, Uses::of(own), inputs)
    }

    fn own_expressions(&mut self, plan: &LogicalPlan, uses: Uses, inputs: &mut [Input]) -> Result<()> {
        plan.apply_expressions(|expr| {
            self.expression(expr, uses, inputs)?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }

    /// One expression for each output column.
    fn each(&mut self, exprs: &[Expr], wanted: &[Uses], inputs: &mut [Input]) -> Result<()> {
        if exprs.len() != wanted.len() {
            let uses = Uses::any_of(wanted).with(FieldUse::Projected);
            return exprs.iter().try_for_each(|expr| self.expression(expr, uses, inputs));
        }
        exprs.iter().zip(wanted).try_for_each(|(expr, uses)| self.expression(expr, *uses, inputs))
    }

    /// Marks what an expression reads. An unwanted one is walked too: its subqueries scan tables that need a decision.
    fn expression(&mut self, expr: &Expr, uses: Uses, inputs: &mut [Input]) -> Result<()> {
        expr.apply(|part| {
            match part {
                Expr::Column(column) => {
                    // Every input that has such a column is marked, not only the first.
                    let marked = inputs.iter_mut().filter_map(|input| input.mark(column, uses).then_some(())).count();
                    if marked == 0 {
                        return Err(unknown_column(column, inputs));
                    }
                }
                Expr::OuterReferenceColumn(_, column) => {
                    self.outer.push(OuterColumn { column: column.clone(), uses, resolved: false });
                }
                Expr::ScalarSubquery(subquery) => self.subquery(&subquery.subquery, uses, false)?,
                Expr::InSubquery(inside) => self.subquery(&inside.subquery.subquery, uses, false)?,
                Expr::SetComparison(comparison) => self.subquery(&comparison.subquery.subquery, uses, false)?,
                Expr::Exists(exists) => self.subquery(&exists.subquery.subquery, uses, true)?,
                #[expect(deprecated, reason = "a wildcard that is left in an analyzed plan reads everything")]
                Expr::Wildcard { .. } => inputs.iter_mut().for_each(|input| input.mark_all(uses)),
                _ => {}
            }
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(())
    }

    /// Of an EXISTS only the first column is wanted: the optimizer keeps one to mark rows with.
    fn subquery(&mut self, plan: &LogicalPlan, uses: Uses, first_only: bool) -> Result<()> {
        let columns = plan.schema().fields().len();
        let wanted: Vec<Uses> = (0..columns).map(|index| if first_only && index > 0 { Uses::NONE } else { uses }).collect();
        self.visit(plan, &wanted)
    }

    /// Marks the outer columns met since `from`. They stay pending: an enclosing query may have a column of the same name.
    fn resolve_outer(&mut self, from: usize, inputs: &mut [Input]) {
        for outer in self.outer.iter_mut().skip(from) {
            for input in inputs.iter_mut() {
                outer.resolved |= input.mark(&outer.column, outer.uses);
            }
        }
    }
}

fn is_distinct(expr: &Expr) -> bool {
    match expr {
        Expr::Alias(alias) => is_distinct(&alias.expr),
        Expr::AggregateFunction(function) => function.params.distinct,
        _ => false,
    }
}

fn unnest_columns(unnest: &Unnest, wanted: &[Uses], inputs: &mut [Input]) {
    let Some(input) = inputs.first_mut() else { return };
    for (output, uses) in wanted.iter().enumerate() {
        match unnest.dependency_indices.get(output).and_then(|index| input.wanted.get_mut(*index)) {
            Some(column) => *column = column.and(*uses),
            None => input.mark_all(Uses::of(FieldUse::Projected)),
        }
    }
    // The number of rows hangs on the lists, whether they are shown or not.
    for column in &unnest.exec_columns {
        if !input.mark(column, Uses::of(FieldUse::Projected)) {
            input.mark_all(Uses::of(FieldUse::Projected));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::enforcement::testing::{Place, World};

    /// `product: field(uses) …` for each product.
    async fn observed(sql: &str) -> String {
        let world = World::new(Place::Memory, &[], 1).await;
        let uses = observe(&world.analyzed(sql).await.unwrap()).unwrap();
        let field = |field: &RequestedField| {
            let uses: Vec<&str> = field.uses.iter().map(|field_use| field_use.as_str()).collect();
            format!(" {}({})", field.name, uses.join(","))
        };
        let products = uses
            .iter()
            .map(|product| format!("{}:{}", product.product.reference.name, product.fields.iter().map(field).collect::<String>()));
        products.collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn counting_rows_reads_no_field() {
        assert_eq!(observed("SELECT count(*) FROM people").await, "people:");
        assert_eq!(observed("SELECT 1 FROM people").await, "people:");
    }

    #[tokio::test]
    async fn a_star_reads_every_field() {
        let all = "people: id(projected) full_name(projected) salary(projected) bucket(projected) dept(projected) created(projected)";
        assert_eq!(observed("SELECT * FROM people").await, all);
    }

    #[tokio::test]
    async fn a_star_below_a_projection_reads_what_is_left_of_it() {
        assert_eq!(observed("SELECT dept FROM (SELECT * FROM people) x").await, "people: dept(projected)");
        assert_eq!(
            observed("WITH v AS (SELECT * FROM people) SELECT d FROM (SELECT dept AS d, salary AS s FROM v) w").await,
            "people: dept(projected)"
        );
        assert_eq!(observed("SELECT count(*) FROM (SELECT * FROM people) x").await, "people:");
    }

    #[tokio::test]
    async fn each_clause_counts_as_its_use() {
        let sql = "SELECT dept, max(salary) FROM people WHERE bucket > 1 GROUP BY dept HAVING min(created) IS NOT NULL ORDER BY dept";
        let expected = "people: salary(projected,aggregated) bucket(filtered) dept(projected,grouped,sorted) created(filtered,aggregated)";
        assert_eq!(observed(sql).await, expected);
        assert_eq!(observed("SELECT DISTINCT dept FROM people").await, "people: dept(projected,grouped)");
        assert_eq!(observed("SELECT id FROM people ORDER BY salary").await, "people: id(projected) salary(sorted)");
    }

    #[tokio::test]
    async fn a_distinct_argument_is_read_though_its_result_is_not_wanted() {
        let sql = "SELECT dept FROM (SELECT dept, count(DISTINCT salary), max(bucket) FROM people GROUP BY dept) x";
        assert_eq!(observed(sql).await, "people: salary(aggregated) dept(projected,grouped)");
    }

    #[tokio::test]
    async fn aliases_hide_nothing() {
        let sql = "SELECT b FROM (SELECT a AS b FROM (SELECT upper(full_name) AS a FROM people) x) y";
        assert_eq!(observed(sql).await, "people: full_name(projected)");
    }

    #[tokio::test]
    async fn joins_read_their_keys() {
        let sql = "SELECT p.id FROM people p JOIN colleagues c ON p.dept = c.dept AND c.salary > p.bucket";
        assert_eq!(observed(sql).await, "colleagues: salary(joined) dept(joined); people: id(projected) bucket(joined) dept(joined)");
    }

    #[tokio::test]
    async fn subqueries_in_expressions_are_read() {
        assert_eq!(observed("SELECT (SELECT max(salary) FROM people)").await, "people: salary(projected,aggregated)");
        let sql = "SELECT id FROM people p WHERE salary > (SELECT avg(c.bucket) FROM colleagues c WHERE c.dept = p.dept)";
        assert_eq!(
            observed(sql).await,
            "colleagues: bucket(filtered,aggregated) dept(filtered); people: id(projected) salary(filtered) dept(filtered)"
        );
        let sql = "SELECT id FROM people p WHERE EXISTS (SELECT full_name FROM colleagues c WHERE c.id = p.bucket)";
        assert_eq!(observed(sql).await, "colleagues: id(filtered) full_name(filtered); people: id(projected) bucket(filtered)");
        let sql = "SELECT 1 FROM people WHERE id IN (SELECT id FROM colleagues WHERE salary IN (SELECT bucket FROM people))";
        assert_eq!(observed(sql).await, "people: id(filtered) bucket(filtered); colleagues: id(filtered) salary(filtered)");
    }

    #[tokio::test]
    async fn an_unwanted_subquery_still_names_its_product() {
        let sql = "SELECT id FROM (SELECT id, (SELECT max(salary) FROM colleagues) AS m FROM people) x";
        assert_eq!(observed(sql).await, "colleagues:; people: id(projected)");
    }

    #[tokio::test]
    async fn lateral_joins_read_the_outer_column() {
        let sql = "SELECT l.salary FROM people p, LATERAL (SELECT c.salary FROM colleagues c WHERE c.id = p.bucket) l";
        assert_eq!(observed(sql).await, "colleagues: id(filtered) salary(projected); people: bucket(filtered)");
    }

    #[tokio::test]
    async fn unions_are_read_by_position() {
        let sql = "SELECT a FROM (SELECT dept AS a, id AS b FROM people UNION ALL SELECT full_name, salary FROM colleagues) u";
        assert_eq!(observed(sql).await, "colleagues: full_name(projected); people: dept(projected)");
        let sql = "SELECT a FROM (SELECT dept AS a, id AS b FROM people UNION SELECT full_name, salary FROM colleagues) u";
        assert_eq!(
            observed(sql).await,
            "colleagues: full_name(projected,grouped) salary(grouped); people: id(grouped) dept(projected,grouped)"
        );
    }

    #[tokio::test]
    async fn windows_read_what_they_order_by() {
        let sql = "SELECT r FROM (SELECT rank() OVER (PARTITION BY dept ORDER BY salary) AS r, full_name FROM people) x";
        assert_eq!(observed(sql).await, "people: salary(projected,aggregated) dept(projected,aggregated)");
    }

    #[tokio::test]
    async fn recursive_queries_are_read() {
        let sql = "WITH RECURSIVE r AS (SELECT id AS n FROM people UNION ALL SELECT r.n FROM r JOIN colleagues c ON c.bucket = r.n) SELECT count(*) FROM r";
        assert_eq!(observed(sql).await, "colleagues: bucket(joined); people: id(projected)");
    }

    #[tokio::test]
    async fn a_statement_without_products_reads_none() {
        assert_eq!(observed("SELECT 1 + 1").await, "");
    }

    #[tokio::test]
    async fn explain_reads_what_its_statement_reads() {
        assert_eq!(observed("EXPLAIN SELECT id FROM people").await, "people: id(projected)");
    }
}
