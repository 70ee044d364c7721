//! Reads statements with `sqlparser`. A tree is looked at and never printed: printing a deep one overflows the stack.

use std::ops::ControlFlow;

use sqlparser::ast::{
    AlterColumnOperation, AlterTable, AlterTableOperation, AssignmentTarget, BinaryOperator, ColumnDef, ColumnOption,
    CreateTable, Delete, Expr, FromTable, Insert, Merge, MergeAction, ObjectName, OnConflictAction, OnInsert, Query,
    RenameTableNameKind, Select, Statement as Tree, TableConstraint, TableFactor, TableObject, Update, Visit, Visitor,
};
use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::parser::Parser;

use super::{Calls, Effect, Reading, Statement, What};

/// What a statement does, if the parser reads it.
pub(super) fn read(sql: &str) -> Reading {
    let trees = match Parser::parse_sql(&PostgreSqlDialect {}, sql) {
        Ok(trees) => trees,
        Err(error) => return Reading::Unread(format!("its text was not understood ({})", shown(&error.to_string()))),
    };
    let [tree] = trees.as_slice() else { return Reading::Unread("it is more than one statement".into()) };
    let mut reader = Reader::default();
    reader.unread = reader.statement(tree).err();
    let _: ControlFlow<()> = tree.visit(&mut reader);
    match reader.unread {
        Some(why) => Reading::Unread(why),
        None => Statement { effects: reader.effects, calls: reader.calls, ..Statement::default() }.into(),
    }
}

fn shown(error: &str) -> String {
    error.trim_start_matches("sql parser error: ").chars().take(120).collect()
}

#[derive(Default)]
struct Reader {
    effects: Vec<Effect>,
    calls: Calls,
    unread: Option<String>,
}

type Found = Result<(), String>;

impl Reader {
    fn add(&mut self, what: What, on: &ObjectName) -> Found {
        let on = name(on)?;
        self.effects.push(Effect { what, on });
        Ok(())
    }

    /// What the statement does by itself; what is inside of it is visited.
    fn statement(&mut self, tree: &Tree) -> Found {
        match tree {
            // What is in a query is visited.
            Tree::Query(_) | Tree::Insert(_) | Tree::Update(_) | Tree::Delete(_) | Tree::Merge(_) => Ok(()),
            Tree::Truncate(truncate) => {
                if truncate.cascade.is_some() {
                    return Err("TRUNCATE … CASCADE empties tables that it does not name".into());
                }
                truncate.table_names.iter().try_for_each(|table| self.add(What::Truncates, &table.name))
            }
            Tree::AlterTable(alter) => self.alter_table(alter),
            Tree::CreateTable(create) => self.create_table(create),
            Tree::CreateView(view) => match view.or_replace {
                true => self.add(What::Replaces, &view.name),
                false => Ok(()),
            },
            _ => Err("setpoint does not read this command".into()),
        }
    }

    fn insert(&mut self, insert: &Insert) -> Found {
        let TableObject::TableName(table) = &insert.table else {
            return Err("it inserts into something that is not a table".into());
        };
        self.add(What::Inserts, table)?;
        if let Some(OnInsert::OnConflict(conflict)) = &insert.on
            && let OnConflictAction::DoUpdate(update) = &conflict.action
        {
            let columns = columns(update.assignments.iter().map(|one| &one.target));
            self.add(What::Overwrites(columns), table)?;
        }
        Ok(())
    }

    fn update(&mut self, update: &Update) -> Found {
        let columns = columns(update.assignments.iter().map(|one| &one.target));
        self.add(What::Overwrites(columns), relation(&update.table.relation)?)
    }

    fn delete(&mut self, delete: &Delete) -> Found {
        let (FromTable::WithFromKeyword(tables) | FromTable::WithoutKeyword(tables)) = &delete.from;
        tables.iter().try_for_each(|table| self.add(What::Deletes, relation(&table.relation)?))
    }

    fn merge(&mut self, merge: &Merge) -> Found {
        let table = relation(&merge.table)?;
        merge.clauses.iter().try_for_each(|clause| match &clause.action {
            MergeAction::Insert(_) => self.add(What::Inserts, table),
            MergeAction::Update(_) => self.add(What::Overwrites(None), table),
            MergeAction::Delete { .. } => self.add(What::Deletes, table),
            MergeAction::DoNothing { .. } => Ok(()),
        })
    }

    fn create_table(&mut self, create: &CreateTable) -> Found {
        if create.inherits.is_some() || create.partition_of.is_some() {
            return Err("a table with a parent gets more than its text says".into());
        }
        create.columns.iter().try_for_each(|column| self.references(column))?;
        create.constraints.iter().try_for_each(|constraint| match constraint {
            TableConstraint::ForeignKey(key) => self.add(What::IsReferenced, &key.foreign_table),
            _ => Ok(()),
        })
    }

    fn references(&mut self, column: &ColumnDef) -> Found {
        column.options.iter().try_for_each(|option| match &option.option {
            ColumnOption::ForeignKey(key) => self.add(What::IsReferenced, &key.foreign_table),
            _ => Ok(()),
        })
    }

    fn alter_table(&mut self, alter: &AlterTable) -> Found {
        alter.operations.iter().try_for_each(|operation| self.operation(&alter.name, operation))
    }

    fn operation(&mut self, table: &ObjectName, operation: &AlterTableOperation) -> Found {
        use AlterTableOperation as Does;
        match operation {
            Does::AddConstraint { constraint, not_valid } => self.constraint(table, constraint, *not_valid),
            Does::AddColumn { column_def, .. } => self.column(table, column_def),
            Does::DropColumn { drop_behavior: None, .. } => self.add(What::DropsColumn, table),
            Does::DropConstraint { drop_behavior: None, .. } => self.add(What::DropsPart, table),
            Does::ValidateConstraint { .. } => self.add(What::Validates, table),
            Does::RenameColumn { .. } => self.add(What::Renames, table),
            Does::RenameTable { table_name: RenameTableNameKind::To(_) } => self.add(What::Renames, table),
            Does::RenameConstraint { .. } => self.add(What::Alters, table),
            Does::SetLogged | Does::SetUnlogged => self.add(What::Rewrites, table),
            Does::DisableRowLevelSecurity
            | Does::EnableRowLevelSecurity
            | Does::ForceRowLevelSecurity
            | Does::NoForceRowLevelSecurity
            | Does::OwnerTo { .. } => {
                self.add(What::ChangesAccess, table)?;
                self.add(What::Alters, table)
            }
            Does::DisableTrigger { .. }
            | Does::EnableTrigger { .. }
            | Does::EnableAlwaysTrigger { .. }
            | Does::EnableReplicaTrigger { .. }
            | Does::SetOptionsParens { .. }
            | Does::ResetOptions { .. } => self.add(What::Alters, table),
            Does::AlterColumn { op, .. } => match op {
                AlterColumnOperation::SetNotNull => self.add(What::Checks, table),
                AlterColumnOperation::SetDefault { .. } => self.add(What::Alters, table),
                AlterColumnOperation::DropNotNull | AlterColumnOperation::DropDefault => {
                    self.add(What::DropsPart, table)
                }
                AlterColumnOperation::SetDataType { .. } => self.add(What::Rewrites, table),
                _ => Err("setpoint does not read this form of ALTER TABLE".into()),
            },
            _ => Err("setpoint does not read this form of ALTER TABLE".into()),
        }
    }

    fn constraint(&mut self, table: &ObjectName, constraint: &TableConstraint, not_valid: bool) -> Found {
        match constraint {
            TableConstraint::ForeignKey(key) => {
                self.add(What::IsReferenced, &key.foreign_table)?;
                self.add(if not_valid { What::IsReferenced } else { What::Checks }, table)
            }
            TableConstraint::Check(_) => self.add(if not_valid { What::Alters } else { What::Checks }, table),
            TableConstraint::Unique(_) | TableConstraint::PrimaryKey(_) => self.add(What::AddsKey, table),
            // A primary key looks for NULLs.
            TableConstraint::PrimaryKeyUsingIndex(_) => self.add(What::Checks, table),
            TableConstraint::UniqueUsingIndex(_) => self.add(What::Alters, table),
            _ => Err("setpoint does not read this kind of constraint".into()),
        }
    }

    /// A new column: without a default it only writes the catalog; with one, it depends on what that calls.
    fn column(&mut self, table: &ObjectName, column: &ColumnDef) -> Found {
        self.add(What::Alters, table)?;
        self.references(column)?;
        if column.data_type.to_string().to_ascii_lowercase().contains("serial") {
            self.add(What::Rewrites, table)?;
        }
        column.options.iter().try_for_each(|option| match &option.option {
            ColumnOption::Null | ColumnOption::Collation(_) => Ok(()),
            ColumnOption::Default(Expr::Value(_)) => Ok(()),
            ColumnOption::NotNull | ColumnOption::ForeignKey(_) | ColumnOption::Check(_) => {
                self.add(What::Checks, table)
            }
            ColumnOption::PrimaryKey(_) | ColumnOption::Unique(_) => self.add(What::AddsKey, table),
            _ => self.add(What::Rewrites, table),
        })
    }

    /// What a SELECT does besides reading.
    fn select(&mut self, select: &Select) -> Found {
        if select.into.is_some() {
            return Err("SELECT … INTO makes a table".into());
        }
        Ok(())
    }

    fn query(&mut self, query: &Query) -> Found {
        if query.locks.is_empty() {
            return Ok(());
        }
        // Which of its relations, is for the server to say: all may be.
        let mut relations = Relations::default();
        let _: ControlFlow<()> = query.visit(&mut relations);
        relations.0.iter().try_for_each(|on| self.add(What::LocksRows, on))
    }

    fn keep(&mut self, found: Found) {
        if let Err(why) = found {
            self.unread.get_or_insert(why);
        }
    }
}

impl Visitor for Reader {
    type Break = ();

    fn pre_visit_statement(&mut self, tree: &Tree) -> ControlFlow<()> {
        let found = match tree {
            Tree::Insert(insert) => self.insert(insert),
            Tree::Update(update) => self.update(update),
            Tree::Delete(delete) => self.delete(delete),
            Tree::Merge(merge) => self.merge(merge),
            _ => Ok(()),
        };
        self.keep(found);
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let found = self.query(query);
        self.keep(found);
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let found = self.select(select);
        self.keep(found);
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        let called = match factor {
            TableFactor::Table { name, args: Some(_), .. } | TableFactor::Function { name, .. } => Some(name),
            _ => None,
        };
        if let Some(called) = called {
            let found = name(called).map(|parts| self.calls.functions.push(parts));
            self.keep(found);
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        let found = match expr {
            Expr::Function(call) => name(&call.name).map(|parts| self.calls.functions.push(parts)),
            Expr::BinaryOp { op, .. } => {
                self.calls.operators.extend(operator(op));
                Ok(())
            }
            _ => Ok(()),
        };
        self.keep(found);
        ControlFlow::Continue(())
    }
}

/// The relations that a query names.
#[derive(Default)]
struct Relations(Vec<ObjectName>);

impl Visitor for Relations {
    type Break = ();

    fn pre_visit_relation(&mut self, relation: &ObjectName) -> ControlFlow<()> {
        self.0.push(relation.clone());
        ControlFlow::Continue(())
    }
}

fn relation(factor: &TableFactor) -> Result<&ObjectName, String> {
    match factor {
        TableFactor::Table { name, args: None, .. } => Ok(name),
        _ => Err("it writes to something that is not a table".into()),
    }
}

/// A name as PostgreSQL folds it.
fn name(name: &ObjectName) -> Result<Vec<String>, String> {
    let part = |ident: &sqlparser::ast::Ident| match ident.quote_style {
        Some(_) => ident.value.clone(),
        None => ident.value.to_ascii_lowercase(),
    };
    let parts: Option<Vec<String>> = name.0.iter().map(|one| one.as_ident().map(part)).collect();
    parts.ok_or_else(|| "it computes a name".to_string())
}

/// The columns that are assigned, if each is a plain name.
fn columns<'a>(targets: impl Iterator<Item = &'a AssignmentTarget>) -> Option<Vec<String>> {
    let mut out = Vec::new();
    for target in targets {
        let names = match target {
            AssignmentTarget::ColumnName(one) => std::slice::from_ref(one),
            AssignmentTarget::Tuple(names) => names.as_slice(),
        };
        for column in names {
            let parts = name(column).ok()?;
            let [column] = parts.as_slice() else { return None };
            out.push(column.clone());
        }
    }
    Some(out)
}

/// The operator's own name.
fn operator(op: &BinaryOperator) -> Option<String> {
    match op {
        BinaryOperator::And | BinaryOperator::Or => None,
        BinaryOperator::PGCustomBinaryOperator(parts) => parts.last().cloned(),
        other => Some(other.to_string()),
    }
}
