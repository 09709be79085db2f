//! The settings for tickets, and what may be chosen in them.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::{
    ConnectWise,
    client::number,
    paging::List,
    records::{TableRow, records},
    refusal::Right,
};
use crate::{
    contract::{ExternalId, Label},
    error::PsaError,
    ticket::{Choice, TicketOption, TicketOptions},
    wire,
};

/// How many boards are asked at the same time.
const BOARDS_AT_ONCE: usize = 2;

/// What a person chose, read strictly.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct TicketSettings {
    /// The board that tickets go to.
    pub board: i64,
    /// The status that they get; the board's own otherwise.
    pub status: Option<i64>,
    /// Their priority.
    pub priority: Option<i64>,
    /// Their type.
    pub kind: Option<i64>,
    /// The status that closes them; one of the board's closed ones otherwise.
    pub closed_status: Option<i64>,
}

const FIELDS: &[&str] = &[
    "boardId",
    "statusId",
    "priorityId",
    "typeId",
    "closedStatusId",
];

impl TicketSettings {
    /// Reads the settings object.
    ///
    /// # Errors
    /// [`PsaError::Config`] naming the field.
    pub fn parse(settings: &Value) -> Result<Self, PsaError> {
        let config = |what: String| PsaError::Config { what };
        let object = settings
            .as_object()
            .ok_or_else(|| config("the settings for tickets must be an object".to_owned()))?;
        if let Some(unknown) = object.keys().find(|key| !FIELDS.contains(&key.as_str())) {
            let unknown = wire::said(unknown);
            return Err(config(format!(
                "{unknown} is no setting for tickets in ConnectWise PSA"
            )));
        }
        let id = |name: &str| match object.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => match wire::id_of(value).as_ref().and_then(number) {
                Some(id) => Ok(Some(id)),
                None => Err(config(format!("{name} must be an id, such as 21"))),
            },
        };
        let board = id("boardId")?.ok_or_else(|| {
            config("boardId is missing: choose the service board for tickets".to_owned())
        })?;
        Ok(Self {
            board,
            status: id("statusId")?,
            priority: id("priorityId")?,
            kind: id("typeId")?,
            closed_status: id("closedStatusId")?,
        })
    }
}

/// What belongs to one board.
struct BoardTables {
    board: Label,
    statuses: Vec<TableRow>,
    types: Vec<TableRow>,
}

impl ConnectWise {
    /// The rows of a table that are in use.
    pub(super) async fn table(&self, path: &str) -> Result<Vec<TableRow>, PsaError> {
        let list = List::all(Right::Tables, path);
        let mut rows: Vec<TableRow> = records(list.all_rows(&self.client).await?);
        rows.retain(|row| !row.is_inactive());
        Ok(rows)
    }

    /// The statuses of a board that are in use.
    pub(super) async fn board_statuses(&self, board: i64) -> Result<Vec<TableRow>, PsaError> {
        self.table(&format!("service/boards/{board}/statuses"))
            .await
    }

    /// All that may be chosen.
    pub(super) async fn options(&self) -> Result<TicketOptions, PsaError> {
        let mut boards = self.table("service/boards").await?;
        boards.retain(|board| !board.is_for_projects());
        let priorities = self.table("service/priorities").await?;
        let labels: Vec<Label> = boards.iter().filter_map(TableRow::label).collect();
        let tables: Vec<BoardTables> = stream::iter(labels)
            .map(|board| self.board_tables(board))
            .buffered(BOARDS_AT_ONCE)
            .try_collect()
            .await?;
        Ok(options_of(&boards, &priorities, &tables))
    }

    async fn board_tables(&self, board: Label) -> Result<BoardTables, PsaError> {
        let id = number(&board.id).ok_or(PsaError::NotFound)?;
        Ok(BoardTables {
            statuses: self.board_statuses(id).await?,
            types: self.table(&format!("service/boards/{id}/types")).await?,
            board,
        })
    }
}

fn choice(row: &TableRow, board: Option<&ExternalId>) -> Option<Choice> {
    Some(Choice {
        label: row.label()?,
        belongs_to: board.cloned(),
        default: row.is_default(),
    })
}

fn options_of(
    boards: &[TableRow],
    priorities: &[TableRow],
    tables: &[BoardTables],
) -> TicketOptions {
    let of_boards = |rows: &dyn Fn(&BoardTables) -> Vec<Choice>| -> Vec<Choice> {
        tables.iter().flat_map(rows).collect()
    };
    let statuses = |closes: bool| {
        of_boards(&|table| {
            let rows = table.statuses.iter().filter(|row| row.closes() == closes);
            rows.filter_map(|row| choice(row, Some(&table.board.id)))
                .collect()
        })
    };
    let option = |name, description, choices| TicketOption {
        name,
        description,
        required: name == "boardId",
        choices,
    };
    TicketOptions {
        options: vec![
            option(
                "boardId",
                "The service board that tickets go to.",
                boards.iter().filter_map(|row| choice(row, None)).collect(),
            ),
            option(
                "statusId",
                "The status of a new ticket; the board's own where none is chosen.",
                statuses(false),
            ),
            option(
                "priorityId",
                "The priority of a new ticket; ConnectWise's own where none is chosen.",
                priorities
                    .iter()
                    .filter_map(|row| choice(row, None))
                    .collect(),
            ),
            option(
                "typeId",
                "The type of a new ticket; none where none is chosen.",
                of_boards(&|table| {
                    let rows = table.types.iter();
                    rows.filter_map(|row| choice(row, Some(&table.board.id)))
                        .collect()
                }),
            ),
            option(
                "closedStatusId",
                "The status that closes a ticket; the board's first closed one where none is chosen.",
                statuses(true),
            ),
        ],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{
        connectwise::harness::{API, opened},
        contract::PsaAdapter,
        scripted::get,
    };

    #[test]
    fn settings_are_read_strictly_and_faults_name_their_field() {
        let settings =
            json!({"boardId": "21", "statusId": 501.0, "priorityId": null, "closedStatusId": 519});
        assert_eq!(
            TicketSettings::parse(&settings).unwrap(),
            TicketSettings {
                board: 21,
                status: Some(501),
                priority: None,
                kind: None,
                closed_status: Some(519)
            }
        );
        for (settings, named) in [
            (json!({}), "boardId"),
            (json!({"boardId": null}), "boardId"),
            (json!({"boardId": "Help Desk"}), "boardId"),
            (json!({"boardId": 21, "typeId": true}), "typeId"),
            (json!({"boardId": 21, "statusId": -1}), "statusId"),
            (json!({"boardId": 21, "queue": 3}), "queue"),
            (json!([]), "object"),
        ] {
            let Err(PsaError::Config { what }) = TicketSettings::parse(&settings) else {
                panic!("{settings}");
            };
            assert!(what.contains(named), "{what}");
        }
    }

    #[tokio::test]
    async fn what_may_be_chosen_belongs_to_its_board() {
        let (psa, adapter) = opened();
        psa.expect(get(&format!("{API}/service/boards")).answer(
            200,
            json!([{"id": 21, "name": "Help Desk"}, {"id": 22, "name": "Old", "inactiveFlag": true},
                   {"id": 23, "name": "Projects", "projectFlag": true}]),
        ));
        psa.expect(get(&format!("{API}/service/priorities")).answer(
            200,
            json!([{"id": 4, "name": "Medium", "defaultFlag": true}]),
        ));
        psa.expect(get(&format!("{API}/service/boards/21/statuses")).answer(
            200,
            json!([{"id": 501, "name": "New", "defaultFlag": true}, {"id": 519, "name": ">Closed", "closedStatus": true},
                   {"id": 520, "name": "Gone", "closedStatus": true, "inactive": true}]),
        ));
        psa.expect(get(&format!("{API}/service/boards/21/types")).answer(
            200,
            json!([{"id": 31, "name": "Cloud", "inactiveFlag": false}]),
        ));
        let told: Vec<String> = adapter
            .ticket_options()
            .await
            .unwrap()
            .options
            .iter()
            .flat_map(|option| {
                option.choices.iter().map(|choice| {
                    let board = choice.belongs_to.as_ref().map_or("-", |id| id.0.as_str());
                    format!(
                        "{} {} {board} {}",
                        option.name, choice.label.id, choice.default
                    )
                })
            })
            .collect();
        assert_eq!(
            told,
            [
                "boardId 21 - false",
                "statusId 501 21 true",
                "priorityId 4 - true",
                "typeId 31 21 false",
                "closedStatusId 519 21 false"
            ]
        );
        psa.finish();
    }
}
