//! Follows fields through the nodes of a logical plan, from the scans up.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::{DFSchema, JoinType};
use datafusion::logical_expr::expr::GroupingSet;
use datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, Join, LogicalPlan, RecursiveQuery, TableScan, Union, Unnest, Values,
};

use super::expression::Scope;
use super::model::{FieldKey, FieldUse, Input, InputField, Lineage, OutputColumn, Relation, Sources, Transformation};
use crate::product::{PortName, ProductRef};

/// Plans that nest deeper are not followed further; a statement's own limits keep it far below.
const DEPTH_MAX: usize = 400;

/// Traces an analyzed plan. `locate` tells which port a scan reads; a scan that it does not know has no lineage.
pub fn trace(plan: &LogicalPlan, locate: &dyn Fn(&TableScan) -> Option<(ProductRef, PortName)>) -> Lineage {
    let mut tracer = Tracer { locate, inputs: Vec::new(), recursive: BTreeMap::new(), depth: 0, complete: true };
    let relation = tracer.plan(plan, None);
    for column in &relation.columns {
        tracer.mark_projected(column);
    }
    let columns = plan.schema().fields().iter().zip(relation.columns);
    Lineage {
        columns: columns
            .map(|(field, sources)| OutputColumn {
                name: field.name().clone(),
                data_type: field.data_type().to_string(),
                sources: sources.into_list(),
            })
            .collect(),
        rows: relation.rows.into_list(),
        inputs: tracer.inputs.into_iter().map(Read::into_input).collect(),
        complete: tracer.complete,
    }
}

/// An input while the plan is traced.
struct Read {
    product: ProductRef,
    port: PortName,
    types: BTreeMap<String, String>,
    uses: BTreeMap<String, BTreeSet<FieldUse>>,
}

impl Read {
    fn into_input(self) -> Input {
        let Self { product, port, mut types, uses } = self;
        let fields = uses
            .into_iter()
            .map(|(name, uses)| InputField {
                data_type: types.remove(&name).unwrap_or_default(),
                name,
                uses: uses.into_iter().collect(),
                masked: false,
            })
            .collect();
        Input { product, port, fields }
    }
}

/// The state of one trace.
pub(super) struct Tracer<'a> {
    locate: &'a dyn Fn(&TableScan) -> Option<(ProductRef, PortName)>,
    inputs: Vec<Read>,
    /// What is known so far of the recursive queries that are being traced, by name.
    recursive: BTreeMap<String, Relation>,
    depth: usize,
    pub(super) complete: bool,
}

impl Tracer<'_> {
    /// Marks every field of `sources` as used that way.
    pub(super) fn mark(&mut self, sources: &Sources, field_use: FieldUse) {
        for key in sources.0.keys() {
            if let Some(input) = self.inputs.get_mut(key.input) {
                input.uses.entry(key.field.clone()).or_default().insert(field_use);
            }
        }
    }

    fn mark_projected(&mut self, column: &Sources) {
        use Transformation::{Computed, Conditional, Identity};
        let shown = |ways: &BTreeSet<Transformation>| [Identity, Computed, Conditional].iter().any(|way| ways.contains(way));
        let projected = column.0.iter().filter(|(_, ways)| shown(ways)).map(|(key, ways)| (key.clone(), ways.clone())).collect();
        self.mark(&Sources(projected), FieldUse::Projected);
    }

    /// What a plan's rows and columns are made from. `outer` is the scope around a subquery in an expression.
    pub(super) fn plan(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Relation {
        if self.depth >= DEPTH_MAX {
            self.complete = false;
            return Relation::blank(plan.schema().fields().len());
        }
        self.depth += 1;
        let mut relation = self.node(plan, outer);
        self.depth -= 1;
        // Every position of the schema has an entry, whatever the node.
        relation.columns.resize_with(plan.schema().fields().len(), Sources::default);
        relation
    }

    fn node(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Relation {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, outer),
            LogicalPlan::Projection(node) => {
                let input = self.plan(&node.input, outer);
                let columns = self.each(&node.expr, &input, node.input.schema(), outer);
                Relation { columns, rows: input.rows }
            }
            LogicalPlan::Filter(node) => {
                let input = self.plan(&node.input, outer);
                let filter = (Transformation::Filter, FieldUse::Filtered);
                self.with_rows(input, node.input.schema(), [&node.predicate], filter, outer)
            }
            LogicalPlan::Sort(node) => {
                let input = self.plan(&node.input, outer);
                let sort = (Transformation::Sort, FieldUse::Sorted);
                self.with_rows(input, node.input.schema(), node.expr.iter().map(|by| &by.expr), sort, outer)
            }
            LogicalPlan::Window(node) => {
                let mut input = self.plan(&node.input, outer);
                let windows = self.each(&node.window_expr, &input, node.input.schema(), outer);
                input.columns.extend(windows);
                input
            }
            LogicalPlan::Aggregate(node) => self.aggregate(node, outer),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let input = self.plan(input, outer);
                self.grouped_by_all(input)
            }
            LogicalPlan::Distinct(Distinct::On(node)) => self.distinct_on(node, outer),
            LogicalPlan::Join(node) => self.join(node, outer),
            LogicalPlan::Union(node) => self.union(node, outer),
            LogicalPlan::Unnest(node) => self.unnest(node, outer),
            LogicalPlan::RecursiveQuery(node) => self.recursive(node, outer),
            LogicalPlan::Values(node) => self.values(node, outer),
            LogicalPlan::SubqueryAlias(node) => self.plan(&node.input, outer),
            LogicalPlan::Subquery(node) => self.plan(&node.subquery, outer),
            LogicalPlan::Limit(node) => self.plan(&node.input, outer),
            LogicalPlan::Repartition(node) => self.plan(&node.input, outer),
            LogicalPlan::Copy(node) => self.plan(&node.input, outer),
            LogicalPlan::Explain(node) => self.shown_as_plan(&node.plan, plan),
            LogicalPlan::Analyze(node) => self.shown_as_plan(&node.input, plan),
            LogicalPlan::EmptyRelation(_) | LogicalPlan::DescribeTable(_) => Relation::blank(plan.schema().fields().len()),
            LogicalPlan::Extension(_) | LogicalPlan::Statement(_) | LogicalPlan::Dml(_) | LogicalPlan::Ddl(_) => self.opaque(plan, outer),
        }
    }

    fn each(&mut self, exprs: &[Expr], relation: &Relation, schema: &DFSchema, outer: Option<&Scope<'_>>) -> Vec<Sources> {
        let scope = Scope { relation, schema, outer };
        exprs.iter().map(|expr| self.expression(expr, &scope, None)).collect()
    }

    /// The relation, with expressions that have a say in its rows.
    fn with_rows<'e>(
        &mut self,
        mut relation: Relation,
        schema: &DFSchema,
        exprs: impl IntoIterator<Item = &'e Expr>,
        (transformation, field_use): (Transformation, FieldUse),
        outer: Option<&Scope<'_>>,
    ) -> Relation {
        let mut rows = std::mem::take(&mut relation.rows);
        let scope = Scope { relation: &relation, schema, outer };
        for expr in exprs {
            rows.add_all(&self.expression(expr, &scope, Some(field_use)), transformation);
        }
        relation.rows = rows;
        relation
    }

    fn grouped_by_all(&mut self, mut relation: Relation) -> Relation {
        for column in &relation.columns {
            self.mark(column, FieldUse::Grouped);
            relation.rows.add_all(column, Transformation::GroupBy);
        }
        relation
    }

    fn scan(&mut self, scan: &TableScan, outer: Option<&Scope<'_>>) -> Relation {
        let fields = scan.projected_schema.fields();
        let Some((product, port)) = (self.locate)(scan) else {
            let known = self.recursive.get(scan.table_name.table()).filter(|known| known.columns.len() == fields.len());
            return known.cloned().unwrap_or_else(|| Relation::blank(fields.len()));
        };
        let same = |read: &Read| read.product == product && read.port == port;
        let input = self.inputs.iter().position(same).unwrap_or(self.inputs.len());
        if input == self.inputs.len() {
            self.inputs.push(Read { product, port, types: BTreeMap::new(), uses: BTreeMap::new() });
        }
        let mut relation = Relation::default();
        for field in fields {
            let key = FieldKey { input, field: field.name().clone() };
            if let Some(read) = self.inputs.get_mut(input) {
                read.types.insert(key.field.clone(), field.data_type().to_string());
            }
            let mut sources = Sources::default();
            sources.add(&key, Transformation::Identity);
            relation.columns.push(sources);
        }
        self.with_rows(relation, &scan.projected_schema, &scan.filters, (Transformation::Filter, FieldUse::Filtered), outer)
    }

    fn aggregate(&mut self, node: &Aggregate, outer: Option<&Scope<'_>>) -> Relation {
        let input = self.plan(&node.input, outer);
        let schema = node.input.schema();
        let (groups, grouping_id): (Vec<&Expr>, bool) = match node.group_expr.as_slice() {
            [Expr::GroupingSet(set)] => (grouping_exprs(set), true),
            exprs => (exprs.iter().collect(), false),
        };
        let scope = Scope { relation: &input, schema, outer };
        let mut columns: Vec<Sources> = groups.into_iter().map(|expr| self.expression(expr, &scope, Some(FieldUse::Grouped))).collect();
        let mut rows = input.rows.clone();
        for group in &columns {
            rows.add_all(group, Transformation::GroupBy);
        }
        if grouping_id {
            columns.push(Sources::default());
        }
        columns.extend(self.each(&node.aggr_expr, &input, schema, outer));
        Relation { columns, rows }
    }

    fn distinct_on(&mut self, node: &DistinctOn, outer: Option<&Scope<'_>>) -> Relation {
        let input = self.plan(&node.input, outer);
        let schema = node.input.schema();
        let columns = self.each(&node.select_expr, &input, schema, outer);
        let input = self.with_rows(input, schema, &node.on_expr, (Transformation::GroupBy, FieldUse::Grouped), outer);
        let sorts = node.sort_expr.iter().flatten().map(|by| &by.expr);
        let input = self.with_rows(input, schema, sorts, (Transformation::Sort, FieldUse::Sorted), outer);
        Relation { columns, rows: input.rows }
    }

    fn join(&mut self, node: &Join, outer: Option<&Scope<'_>>) -> Relation {
        let left = self.plan(&node.left, outer);
        let right = self.plan(&node.right, outer);
        let mut condition = Sources::default();
        for (on_left, on_right) in &node.on {
            let scope = Scope { relation: &left, schema: node.left.schema(), outer };
            condition.add_all(&self.expression(on_left, &scope, Some(FieldUse::Joined)), Transformation::Join);
            let scope = Scope { relation: &right, schema: node.right.schema(), outer };
            condition.add_all(&self.expression(on_right, &scope, Some(FieldUse::Joined)), Transformation::Join);
        }
        if let Some(filter) = &node.filter {
            // Each side's names are looked up on their own: the joined schema need not exist (semi-joins).
            let right_scope = Scope { relation: &right, schema: node.right.schema(), outer };
            let scope = Scope { relation: &left, schema: node.left.schema(), outer: Some(&right_scope) };
            condition.add_all(&self.expression(filter, &scope, Some(FieldUse::Joined)), Transformation::Join);
        }
        let mut rows = left.rows;
        rows.add_all(&right.rows, Transformation::Identity);
        rows.add_all(&condition, Transformation::Identity);
        let columns = match node.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => left.columns.into_iter().chain(right.columns).collect(),
            JoinType::LeftSemi | JoinType::LeftAnti => left.columns,
            JoinType::RightSemi | JoinType::RightAnti => right.columns,
            JoinType::LeftMark => left.columns.into_iter().chain([condition]).collect(),
            JoinType::RightMark => right.columns.into_iter().chain([condition]).collect(),
        };
        Relation { columns, rows }
    }

    /// Unions nest as often as a statement repeats the word, so they are flattened rather than followed down.
    fn union(&mut self, node: &Union, outer: Option<&Scope<'_>>) -> Relation {
        let mut relation = Relation::blank(node.schema.fields().len());
        let mut inputs: Vec<&LogicalPlan> = node.inputs.iter().rev().map(AsRef::as_ref).collect();
        while let Some(input) = inputs.pop() {
            match input {
                LogicalPlan::Union(inner) => inputs.extend(inner.inputs.iter().rev().map(AsRef::as_ref)),
                other => relation.merge(&self.plan(other, outer)),
            }
        }
        relation
    }

    fn unnest(&mut self, node: &Unnest, outer: Option<&Scope<'_>>) -> Relation {
        let input = self.plan(&node.input, outer);
        let unnested: BTreeSet<usize> =
            node.list_type_columns.iter().map(|(index, _)| *index).chain(node.struct_type_columns.iter().copied()).collect();
        let columns = node
            .dependency_indices
            .iter()
            .map(|index| {
                let how = if unnested.contains(index) { Transformation::Computed } else { Transformation::Identity };
                let mut sources = Sources::default();
                if let Some(column) = input.columns.get(*index) {
                    sources.add_all(column, how);
                }
                sources
            })
            .collect();
        Relation { columns, rows: input.rows }
    }

    /// The recursive term is traced again until nothing new is found.
    fn recursive(&mut self, node: &RecursiveQuery, outer: Option<&Scope<'_>>) -> Relation {
        let mut known = self.plan(&node.static_term, outer);
        // Each round carries a field at least one column further.
        for _ in 0..=known.columns.len() {
            let shadowed = self.recursive.insert(node.name.clone(), known.clone());
            let step = self.plan(&node.recursive_term, outer);
            match shadowed {
                Some(shadowed) => self.recursive.insert(node.name.clone(), shadowed),
                None => self.recursive.remove(&node.name),
            };
            let before = known.clone();
            known.merge(&step);
            if known == before {
                break;
            }
        }
        if node.is_distinct { self.grouped_by_all(known) } else { known }
    }

    fn values(&mut self, node: &Values, outer: Option<&Scope<'_>>) -> Relation {
        let mut relation = Relation::blank(node.schema.fields().len());
        let nothing = Relation::default();
        for row in &node.values {
            let columns = self.each(row, &nothing, &DFSchema::empty(), outer);
            relation.merge(&Relation { columns, rows: Sources::default() });
        }
        relation
    }

    /// EXPLAIN: the plan's inputs are named, but no field reaches the text.
    fn shown_as_plan(&mut self, inner: &LogicalPlan, plan: &LogicalPlan) -> Relation {
        let inner = self.plan(inner, None);
        Relation { rows: inner.rows, ..Relation::blank(plan.schema().fields().len()) }
    }

    /// A node that is not understood: each column may come from each field below it.
    fn opaque(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Relation {
        self.complete = false;
        let mut all = Relation::blank(plan.schema().fields().len());
        for input in plan.inputs() {
            let relation = self.plan(input, outer);
            for column in &mut all.columns {
                relation.columns.iter().for_each(|source| column.add_all(source, Transformation::Computed));
            }
            all.rows.add_all(&relation.rows, Transformation::Identity);
        }
        all
    }
}

fn grouping_exprs(set: &GroupingSet) -> Vec<&Expr> {
    set.distinct_expr()
}
