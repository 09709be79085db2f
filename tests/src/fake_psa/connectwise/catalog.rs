//! What is the same for every ConnectWise stand-in: statuses, types, boards, priorities.

use serde_json::{Value, json};

/// Boards with their statuses: id, name, closed, default, inactive. Status ids are a board's own.
pub const BOARDS: [(i64, &str, &[BoardStatus]); 2] = [
    (
        21,
        "Help Desk",
        &[
            (501, "New", false, true, false),
            (505, "In Progress", false, false, false),
            (518, ">Closed (old)", true, false, true),
            (519, ">Closed", true, false, false),
        ],
    ),
    (
        22,
        "Alerts",
        &[
            (601, "New alert", false, true, false),
            (640, "Completed", true, false, false),
        ],
    ),
];

/// Id, name, closed, default, inactive.
pub type BoardStatus = (i64, &'static str, bool, bool, bool);

const PRIORITIES: [(i64, &str, bool); 3] = [
    (2, "Priority 1 - Critical", false),
    (4, "Priority 3 - Medium", true),
    (5, "Priority 4 - Low", false),
];

/// The statuses of a board; none where there is no such board.
pub fn statuses_of(board: i64) -> Option<&'static [BoardStatus]> {
    let found = BOARDS.iter().find(|(id, _, _)| *id == board);
    found.map(|(_, _, statuses)| *statuses)
}

/// The name of a board.
pub fn board_name(board: i64) -> &'static str {
    let found = BOARDS.iter().find(|(id, _, _)| *id == board);
    found.map_or("", |(_, name, _)| *name)
}

/// A status of any board.
pub fn status(id: i64) -> Option<&'static BoardStatus> {
    let mut all = BOARDS.iter().flat_map(|(_, _, statuses)| statuses.iter());
    all.find(|(known, ..)| *known == id)
}

/// Its name.
pub fn status_name(id: i64) -> &'static str {
    status(id).map_or("", |(_, name, ..)| name)
}

/// The name of a priority; empty where there is no such.
pub fn priority_name(id: i64) -> &'static str {
    let found = PRIORITIES.iter().find(|(known, _, _)| *known == id);
    found.map_or("", |(_, name, _)| *name)
}

/// `/company/companies/statuses`.
pub fn company_statuses() -> Vec<Value> {
    let row = |id: i64, name: &str, default: bool, inactive: bool, locked: bool| {
        let mut row = json!({
            "id": id, "name": name, "defaultFlag": default, "inactiveFlag": inactive, "notifyFlag": locked && !inactive,
            "disallowSavingFlag": locked, "customNoteFlag": false, "cancelOpenTracksFlag": inactive,
            "_info": {"lastUpdated": "2014-07-14T12:10:12Z", "updatedBy": "zAdmin"},
        });
        if locked && !inactive {
            row["notificationMessage"] = json!("Account on stop - speak to finance");
        }
        row
    };
    vec![
        row(1, "Active", true, false, false),
        row(2, "Inactive", false, true, true),
        row(19, "Credit Hold", false, false, true),
    ]
}

/// `/company/companies/types`.
pub fn company_types() -> Vec<Value> {
    let row = |id: i64, name: &str, default: bool, vendor: bool| {
        json!({"id": id, "name": name, "defaultFlag": default, "vendorFlag": vendor,
            "serviceAlertFlag": false, "_info": {}})
    };
    vec![
        row(1, "Client", true, false),
        row(4, "Prospect", false, false),
        row(5, "Vendor", false, true),
        row(6, "Referral Partner", false, false),
    ]
}

/// `/service/boards`.
pub fn boards() -> Vec<Value> {
    let rows = BOARDS.iter().map(|(id, name, _)| {
        json!({"id": id, "name": name, "inactiveFlag": false, "projectFlag": false,
            "location": {"id": 2, "name": "Corporate", "_info": {}}, "_info": {}})
    });
    rows.collect()
}

/// `/service/boards/{id}/statuses`.
pub fn board_statuses(board: i64, statuses: &[BoardStatus]) -> Vec<Value> {
    let rows = statuses.iter().enumerate().map(|(n, (id, name, closed, default, inactive))| {
        json!({"id": id, "name": name, "board": {"id": board, "name": board_name(board), "_info": {}},
            "sortOrder": n * 10, "displayOnBoard": !closed, "inactive": inactive, "closedStatus": closed,
            "timeEntryNotAllowed": closed, "defaultFlag": default,
            "escalationStatus": if *closed { "Resolved" } else { "NotResponded" }, "_info": {}})
    });
    rows.collect()
}

/// `/service/boards/{id}/types`.
pub fn board_types(board: i64) -> Vec<Value> {
    let row = |id: i64, name: &str, default: bool| {
        json!({"id": id, "name": name, "board": {"id": board, "name": board_name(board), "_info": {}},
            "defaultFlag": default, "inactiveFlag": false, "_info": {}})
    };
    vec![
        row(board * 10 + 1, "Service request", true),
        row(board * 10 + 2, "Incident", false),
    ]
}

/// `/service/priorities`.
pub fn priorities() -> Vec<Value> {
    let rows = PRIORITIES.iter().map(|(id, name, default)| {
        json!({"id": id, "name": name, "color": "Yellow", "sortOrder": id, "defaultFlag": default, "_info": {}})
    });
    rows.collect()
}

/// The currency that companies are billed in.
pub fn currency(base: &str) -> Value {
    json!({"id": 2, "symbol": "£", "currencyCode": "GBP", "decimalSeparator": ".", "numberOfDecimals": 2,
        "thousandsSeparator": ",", "negativeParenthesesFlag": false, "displaySymbolFlag": true,
        "currencyIdentifier": "GBP", "displayIdFlag": false, "rightAlign": false, "name": "Pound Sterling",
        "_info": {"currency_href": format!("{base}/finance/currencies/2")}})
}
