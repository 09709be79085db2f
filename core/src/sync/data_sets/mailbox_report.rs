//! The mailbox usage report: a CSV of any length, read piece by piece and bound by header name,
//! because Microsoft shows it with and without some columns.

use csv_core::{ReadRecordResult, Reader};

use crate::{inventory::documents::Mailbox, microsoft::graph::ReportBody, sync::error::SyncError};

/// Longest record that is believed, in bytes.
const LONGEST_RECORD: usize = 64 * 1024;

/// The rows of a report.
pub(super) struct Report {
    body: ReportBody,
    parser: RowParser,
    ended: bool,
}

impl Report {
    /// A report whose rows are still to come.
    pub(super) fn new(body: ReportBody) -> Self {
        Self {
            body,
            parser: RowParser::default(),
            ended: false,
        }
    }

    /// The next rows, about `wanted` of them; empty at the end.
    pub(super) async fn next(&mut self, wanted: usize) -> Result<Vec<Mailbox>, SyncError> {
        let mut rows = Vec::with_capacity(wanted);
        while rows.len() < wanted && !self.ended {
            match self.body.chunk().await? {
                Some(chunk) => self.parser.feed(&chunk, &mut rows)?,
                None => {
                    self.ended = true;
                    self.parser.finish(&mut rows)?;
                }
            }
        }
        Ok(rows)
    }
}

/// Turns bytes into rows, wherever they are cut.
struct RowParser {
    reader: Reader,
    record: Vec<u8>,
    ends: Vec<usize>,
    /// How much of `record` and `ends` the record under way fills.
    written: usize,
    fields: usize,
    header: Option<Vec<String>>,
}

impl Default for RowParser {
    fn default() -> Self {
        Self {
            // Not `Reader::default()`, whose tables are empty.
            reader: Reader::new(),
            record: Vec::new(),
            ends: Vec::new(),
            written: 0,
            fields: 0,
            header: None,
        }
    }
}

impl RowParser {
    fn feed(&mut self, mut input: &[u8], rows: &mut Vec<Mailbox>) -> Result<(), SyncError> {
        while !input.is_empty() {
            let read = self.step(input, rows)?;
            input = input.get(read..).unwrap_or_default();
        }
        Ok(())
    }

    fn finish(&mut self, rows: &mut Vec<Mailbox>) -> Result<(), SyncError> {
        // An empty input tells the reader that the text has ended; a last line may lack its end.
        while !self.at_end(rows)? {}
        Ok(())
    }

    fn at_end(&mut self, rows: &mut Vec<Mailbox>) -> Result<bool, SyncError> {
        self.make_room()?;
        let (result, _, wrote, ended) = self.read(&[]);
        let is_end = matches!(result, ReadRecordResult::End);
        self.take(&result, wrote, ended, rows)?;
        Ok(is_end)
    }

    fn step(&mut self, input: &[u8], rows: &mut Vec<Mailbox>) -> Result<usize, SyncError> {
        self.make_room()?;
        let (result, read, wrote, ended) = self.read(input);
        self.take(&result, wrote, ended, rows)?;
        Ok(read)
    }

    fn read(&mut self, input: &[u8]) -> (ReadRecordResult, usize, usize, usize) {
        let output = self.record.get_mut(self.written..).unwrap_or_default();
        let ends = self.ends.get_mut(self.fields..).unwrap_or_default();
        self.reader.read_record(input, output, ends)
    }

    fn make_room(&mut self) -> Result<(), SyncError> {
        if self.record.len() - self.written < 1024 {
            if self.record.len() >= LONGEST_RECORD {
                return Err(SyncError::UnexpectedAnswer(
                    "a report row of more than 64 kB".to_owned(),
                ));
            }
            self.record.resize((self.record.len() * 2).max(4096), 0);
        }
        if self.ends.len() - self.fields < 16 {
            self.ends.resize(self.ends.len() + 64, 0);
        }
        Ok(())
    }

    fn take(
        &mut self,
        result: &ReadRecordResult,
        wrote: usize,
        ended: usize,
        rows: &mut Vec<Mailbox>,
    ) -> Result<(), SyncError> {
        self.written += wrote;
        self.fields += ended;
        if matches!(result, ReadRecordResult::Record) {
            let fields = self.split()?;
            self.written = 0;
            self.fields = 0;
            match &self.header {
                None => self.header = Some(header(fields)?),
                Some(header) => rows.push(mailbox(header, &fields)),
            }
        }
        Ok(())
    }

    fn split(&self) -> Result<Vec<String>, SyncError> {
        let mut from = 0;
        self.ends
            .iter()
            .take(self.fields)
            .map(|end| {
                let bytes = self.record.get(from..*end).unwrap_or_default();
                from = *end;
                String::from_utf8(bytes.to_vec()).map_err(|error| {
                    SyncError::UnexpectedAnswer(format!("a report that is not UTF-8: {error}"))
                })
            })
            .collect()
    }
}

/// Reads a report that is there as a whole.
#[cfg(test)]
pub(super) fn decode(report: &[u8]) -> Result<Vec<Mailbox>, SyncError> {
    let mut parser = RowParser::default();
    let mut rows = Vec::new();
    parser.feed(report, &mut rows)?;
    parser.finish(&mut rows)?;
    Ok(rows)
}

fn header(mut fields: Vec<String>) -> Result<Vec<String>, SyncError> {
    if let Some(first) = fields.first_mut() {
        *first = first.trim_start_matches('\u{feff}').to_owned();
    }
    if fields.iter().any(|field| field == "User Principal Name") {
        Ok(fields)
    } else {
        Err(SyncError::UnexpectedAnswer(
            "a report without the column User Principal Name".to_owned(),
        ))
    }
}

fn mailbox(header: &[String], fields: &[String]) -> Mailbox {
    let text = |column: &str| {
        let position = header.iter().position(|name| name == column)?;
        fields
            .get(position)
            .map(|field| field.trim().to_owned())
            .filter(|field| !field.is_empty())
    };
    let number = |column: &str| text(column).and_then(|field| field.parse().ok());
    let truth = |column: &str| {
        text(column).and_then(|field| match field.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    };
    Mailbox {
        report_refresh_date: text("Report Refresh Date"),
        user_principal_name: text("User Principal Name"),
        display_name: text("Display Name"),
        is_deleted: truth("Is Deleted"),
        deleted_date: text("Deleted Date"),
        created_date: text("Created Date"),
        last_activity_date: text("Last Activity Date"),
        item_count: number("Item Count"),
        storage_used_in_bytes: number("Storage Used (Byte)"),
        deleted_item_count: number("Deleted Item Count"),
        deleted_item_size_in_bytes: number("Deleted Item Size (Byte)"),
        deleted_item_quota_in_bytes: number("Deleted Item Quota (Byte)"),
        issue_warning_quota_in_bytes: number("Issue Warning Quota (Byte)"),
        prohibit_send_quota_in_bytes: number("Prohibit Send Quota (Byte)"),
        prohibit_send_receive_quota_in_bytes: number("Prohibit Send/Receive Quota (Byte)"),
        has_archive: truth("Has Archive"),
        report_period: text("Report Period"),
        user_id: None,
        user_purpose: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &str = "\u{feff}Report Refresh Date,User Principal Name,Display Name,Is Deleted,Item Count,Has Archive\r\n\
        2026-11-19,ada@fabrikam.example,\"Lovelace, Ada \"\"the first\"\"\",False,7340,True\r\n\
        2026-11-19,gone@fabrikam.example,Gone,True,,\r\n\
        2026-11-19,last@fabrikam.example,Line without its end,False,1,False";

    fn parse(report: &str, piece: usize) -> Vec<Mailbox> {
        let mut parser = RowParser::default();
        let mut rows = Vec::new();
        for piece in report.as_bytes().chunks(piece) {
            parser.feed(piece, &mut rows).unwrap();
        }
        parser.finish(&mut rows).unwrap();
        rows
    }

    #[test]
    fn a_report_reads_the_same_wherever_it_is_cut() {
        let whole = parse(REPORT, REPORT.len());
        assert_eq!(whole.len(), 3);
        assert_eq!(
            whole[0].display_name.as_deref(),
            Some("Lovelace, Ada \"the first\"")
        );
        assert_eq!(whole[0].item_count, Some(7340));
        assert_eq!(whole[1].is_deleted, Some(true));
        assert_eq!(whole[1].item_count, None);
        assert_eq!(whole[2].has_archive, Some(false));
        assert_eq!(
            whole[2].storage_used_in_bytes, None,
            "a column that is not there is no value"
        );
        for piece in 1..40 {
            assert_eq!(parse(REPORT, piece), whole, "cut every {piece} bytes");
        }
    }

    #[test]
    fn r11_a_page_of_html_is_no_report() {
        let mut parser = RowParser::default();
        let mut rows = Vec::new();
        let outcome = parser.feed(b"<html><body>Sign in</body></html>\r\n<p>", &mut rows);
        assert!(outcome.is_err(), "a text without the columns is refused");
        assert!(rows.is_empty());
    }

    #[test]
    fn r12_a_row_without_end_is_refused() {
        let mut parser = RowParser::default();
        let mut rows = Vec::new();
        let endless = vec![b'x'; 200_000];
        assert!(parser.feed(&endless, &mut rows).is_err());
    }
}
