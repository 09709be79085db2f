//! Rows of one kind, in an order that never changes, and the members of a group.

use std::collections::HashMap;

use serde_json::Value;
use uuid::Uuid;

use super::{
    ObjectKind,
    entity::{Entity, Schema},
};

/// Objects of one kind. Rows are only appended, so that their index can be a cursor.
pub struct Table {
    pub schema: &'static Schema,
    pub rows: Vec<Row>,
    by_id: HashMap<Uuid, usize>,
}

/// One object.
pub struct Row {
    pub id: Uuid,
    pub state: State,
    pub entity: Entity,
}

/// Whether an object is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Live,
    /// Soft-deleted.
    Deleted,
    Purged,
}

impl Table {
    /// An empty table.
    pub fn new(schema: &'static Schema) -> Self {
        Self {
            schema,
            rows: Vec::new(),
            by_id: HashMap::new(),
        }
    }

    /// Adds an object and returns its row.
    pub fn insert(&mut self, id: Uuid, entity: Entity) -> usize {
        let row = self.rows.len();
        let state = State::Live;
        self.rows.push(Row { id, state, entity });
        self.by_id.insert(id, row);
        row
    }

    /// Adds an object before all others. Only for small tables that nobody pages by row.
    pub fn insert_first(&mut self, id: Uuid, entity: Entity) {
        let state = State::Live;
        self.rows.insert(0, Row { id, state, entity });
        self.by_id = self
            .rows
            .iter()
            .enumerate()
            .map(|(row, object)| (object.id, row))
            .collect();
    }

    /// The row of an object, whatever its state.
    pub fn row(&self, id: Uuid) -> Option<usize> {
        self.by_id.get(&id).copied()
    }

    /// Objects that are there.
    pub fn live(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| row.state == State::Live)
    }

    /// Sets properties and returns the mask of their columns.
    pub fn assign(&mut self, id: Uuid, properties: &Value) -> u64 {
        let row = self.row(id).expect("an object of the tenant");
        self.rows[row].entity.assign(self.schema, properties)
    }

    /// Sets the state and returns the row.
    pub fn set_state(&mut self, id: Uuid, state: State) -> usize {
        let row = self.row(id).expect("an object of the tenant");
        self.rows[row].state = state;
        row
    }
}

/// The members of a group, in the order they came.
#[derive(Default)]
pub struct Membership {
    pub list: Vec<Member>,
    next: u32,
}

/// A member of a group.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Grows with each member the group ever had: a cursor that removals do not move.
    pub ordinal: u32,
    pub kind: ObjectKind,
    pub id: Uuid,
}

impl Membership {
    /// Adds a member unless it is in.
    pub fn push(&mut self, kind: ObjectKind, id: Uuid) -> bool {
        if self.list.iter().any(|member| member.id == id) {
            return false;
        }
        self.push_new(kind, id);
        true
    }

    /// Adds a member that is known not to be in.
    pub fn push_new(&mut self, kind: ObjectKind, id: Uuid) {
        let ordinal = self.next;
        self.next += 1;
        self.list.push(Member { ordinal, kind, id });
    }

    /// Removes a member.
    pub fn take(&mut self, id: Uuid) -> Option<Member> {
        let at = self.list.iter().position(|member| member.id == id)?;
        Some(self.list.remove(at))
    }

    /// The members from this ordinal on.
    pub fn from_ordinal(&self, ordinal: u32) -> &[Member] {
        let start = self.list.partition_point(|member| member.ordinal < ordinal);
        &self.list[start..]
    }
}
