//! The operator's file of product names, in the format of Microsoft's list: CSV with a byte-order mark,
//! stray blanks, tabs and non-breaking spaces, quoted fields, and the same product many times.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::SystemTime,
};

use csv_core::ReadFieldResult;
use uuid::Uuid;

use super::tidy;

/// The largest file of names that is read, in bytes: Microsoft's own is about 1 MB.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Why a file of names cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LicenseNamesError {
    /// The file is missing, unreadable or vanished while it was read.
    #[error("cannot read the file of license names")]
    Unreadable(#[source] io::Error),
    /// The file is larger than 16 MiB.
    #[error("the file of license names is larger than {MAX_FILE_BYTES} bytes")]
    TooLarge,
    /// The first line does not name the two columns that are needed.
    #[error("the file of license names has no columns Product_Display_Name and GUID")]
    MissingColumns,
    /// No line holds both a GUID and a name.
    #[error("the file of license names names no product")]
    NoProducts,
}

/// Product names by `skuId`.
#[derive(Debug, Default)]
pub struct Names(HashMap<Uuid, String>);

impl Names {
    /// The name of a product.
    pub fn get(&self, sku_id: Uuid) -> Option<&str> {
        self.0.get(&sku_id).map(String::as_str)
    }

    /// Reads Microsoft's CSV format: one line for each product and service plan, so the same product
    /// many times; of two names for one GUID the first counts. Lines without a GUID or a name are
    /// passed over, unknown columns ignored.
    pub fn from_csv(file: &[u8]) -> Result<Self, LicenseNamesError> {
        let mut records = Records::new(file);
        let columns = records.next().and_then(|header| Columns::find(&header));
        let columns = columns.ok_or(LicenseNamesError::MissingColumns)?;
        let mut names = HashMap::new();
        for record in records {
            if let Some((sku_id, name)) = columns.product(&record) {
                names.entry(sku_id).or_insert(name);
            }
        }
        if names.is_empty() {
            return Err(LicenseNamesError::NoProducts);
        }
        Ok(Self(names))
    }
}

/// Positions of the columns we need: Microsoft may add or move others.
struct Columns {
    name: usize,
    sku_id: usize,
}

impl Columns {
    fn find(header: &[String]) -> Option<Self> {
        let position = |wanted: &str| {
            header
                .iter()
                .position(|column| column.trim().eq_ignore_ascii_case(wanted))
        };
        Some(Self {
            name: position("Product_Display_Name")?,
            sku_id: position("GUID")?,
        })
    }

    fn product(&self, record: &[String]) -> Option<(Uuid, String)> {
        let sku_id = Uuid::try_parse(record.get(self.sku_id)?.trim()).ok()?;
        let name = tidy(record.get(self.name)?);
        (!name.is_empty()).then_some((sku_id, name))
    }
}

/// The records of a CSV text, fields unquoted; bytes that are not UTF-8 become U+FFFD.
struct Records<'a> {
    reader: csv_core::Reader,
    rest: &'a [u8],
}

impl<'a> Records<'a> {
    fn new(file: &'a [u8]) -> Self {
        let byte_order_mark = "\u{feff}".as_bytes();
        let rest = file.strip_prefix(byte_order_mark).unwrap_or(file);
        Self {
            reader: csv_core::Reader::new(),
            rest,
        }
    }
}

impl Iterator for Records<'_> {
    type Item = Vec<String>;

    fn next(&mut self) -> Option<Vec<String>> {
        let (mut record, mut field, mut buffer) = (Vec::new(), Vec::new(), [0; 512]);
        loop {
            // Called once more with nothing left, the reader gives what it still holds, then the end.
            let (result, read, written) = self.reader.read_field(self.rest, &mut buffer);
            self.rest = self.rest.get(read..).unwrap_or_default();
            field.extend_from_slice(buffer.get(..written).unwrap_or_default());
            match result {
                ReadFieldResult::InputEmpty | ReadFieldResult::OutputFull => {}
                ReadFieldResult::Field { record_end } => {
                    record.push(String::from_utf8_lossy(&field).into_owned());
                    field.clear();
                    if record_end {
                        return Some(record);
                    }
                }
                ReadFieldResult::End => return None,
            }
        }
    }
}

/// The operator's file of names, read again when it changes. Without a file there are no names.
#[derive(Debug, Default)]
pub struct LicenseNamesFile {
    path: Option<PathBuf>,
    last: Mutex<LastRead>,
}

/// What was found when the file was last looked at: good names, and the state of the file, which
/// after a bad change belongs to another text than the names.
#[derive(Debug, Default)]
struct LastRead {
    state: Option<FileState>,
    names: Arc<Names>,
}

/// Enough of a file to notice that it was replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileState {
    modified: SystemTime,
    bytes: u64,
}

impl LicenseNamesFile {
    /// Reads the file for the first time; `None` when the operator named none. A file that cannot be
    /// used is an error here, so that a wrong setting shows at the start.
    pub fn open(path: Option<PathBuf>) -> Result<Self, LicenseNamesError> {
        let Some(path) = path else {
            return Ok(Self::default());
        };
        let (state, names) = read(&path)?;
        let last = LastRead {
            state: Some(state),
            names: Arc::new(names),
        };
        Ok(Self {
            path: Some(path),
            last: Mutex::new(last),
        })
    }

    /// The names as they stand now. Looks at the file's modification time, and reads it when that
    /// changed, so this blocks; a file that turned bad is reported once and the last good names stay.
    pub fn names(&self) -> Arc<Names> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = &self.path {
            // `None`, a file that is gone, is a state as well.
            let state = state_of(path).ok();
            if state != last.state {
                last.state = state;
                match read(path) {
                    Ok((state, names)) => {
                        *last = LastRead {
                            state: Some(state),
                            names: Arc::new(names),
                        };
                    }
                    Err(error) => tracing::warn!(
                        path = %path.display(),
                        error = %error,
                        "the changed file of license names cannot be used, the names read before stay"
                    ),
                }
            }
        }
        Arc::clone(&last.names)
    }
}

fn read(path: &Path) -> Result<(FileState, Names), LicenseNamesError> {
    // The state is taken first: a change while we read is then seen as a change next time.
    let state = state_of(path).map_err(LicenseNamesError::Unreadable)?;
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(LicenseNamesError::Unreadable)?;
    let length = file
        .take(MAX_FILE_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(LicenseNamesError::Unreadable)?;
    if u64::try_from(length).is_ok_and(|length| length <= MAX_FILE_BYTES) {
        Ok((state, Names::from_csv(&bytes)?))
    } else {
        Err(LicenseNamesError::TooLarge)
    }
}

fn state_of(path: &Path) -> io::Result<FileState> {
    let metadata = std::fs::metadata(path)?;
    Ok(FileState {
        modified: metadata.modified()?,
        bytes: metadata.len(),
    })
}

#[cfg(test)]
mod tests {
    use uuid::uuid;

    use super::*;

    const SPB: Uuid = uuid!("cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46");
    const UNKNOWN: Uuid = uuid!("00000000-0000-4000-8000-000000000001");
    const HEADER: &str = "Product_Display_Name,String_Id,GUID,Service_Plan_Name,Service_Plan_Id,Service_Plans_Included_Friendly_Names\r\n";

    fn names(rows: &str) -> Names {
        Names::from_csv(format!("{HEADER}{rows}").as_bytes()).unwrap()
    }

    #[test]
    fn the_traps_in_the_list_are_read() {
        let other = uuid!("00000000-0000-4000-8000-000000000002");
        let rows = format!(
            "\u{a0}Plan,  One\t,X\u{a0},\u{a0}{UNKNOWN} ,P,p,f\r\n\
             \"Quoted, \"\"two\"\"\n lines\",MCOPSTN5,{}\r\n\
             Plan One under another name,X,{UNKNOWN},P,p,f\r\n\
             no GUID,Y,not-a-guid,P,p,f\r\n,Z,{SPB},P,p,f\r\nshort\r\n",
            other.to_string().to_uppercase()
        );
        // An unquoted comma moves the columns: that line has no GUID where one belongs.
        let file = names(&rows);
        assert_eq!(file.get(other), Some("Quoted, \"two\" lines"));
        assert_eq!(file.get(UNKNOWN), Some("Plan One under another name"));
        assert_eq!(file.get(SPB), None);
    }

    #[test]
    fn of_two_names_for_one_guid_the_first_counts() {
        let file = names(&format!("First,A,{UNKNOWN}\nSecond,A,{UNKNOWN}"));
        assert_eq!(file.get(UNKNOWN), Some("First"));
    }

    #[test]
    fn columns_are_found_by_name_behind_a_byte_order_mark() {
        let text =
            format!("\u{feff}guid ,Extra,product_display_name\n{UNKNOWN},x,  Name\u{a0}here \n");
        assert_eq!(
            Names::from_csv(text.as_bytes()).unwrap().get(UNKNOWN),
            Some("Name here")
        );
    }

    #[test]
    fn bytes_that_are_no_text_do_not_stop_the_reading() {
        let mut text = format!("{HEADER}Caf").into_bytes();
        text.push(0xe9);
        text.extend_from_slice(format!(",A,{UNKNOWN}\n").as_bytes());
        assert_eq!(
            Names::from_csv(&text).unwrap().get(UNKNOWN),
            Some("Caf\u{fffd}")
        );
    }

    #[test]
    fn a_field_longer_than_the_buffer_is_whole() {
        let long = "n".repeat(5_000);
        assert_eq!(
            names(&format!("{long},A,{UNKNOWN}")).get(UNKNOWN),
            Some(long.as_str())
        );
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let refused = |text: &str| Names::from_csv(text.as_bytes()).unwrap_err();
        assert!(matches!(refused(""), LicenseNamesError::MissingColumns));
        assert!(matches!(
            refused("<html>"),
            LicenseNamesError::MissingColumns
        ));
        assert!(matches!(refused(HEADER), LicenseNamesError::NoProducts));
    }

    #[test]
    fn a_changed_file_is_read_again_and_a_bad_one_keeps_the_last_good_names() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("names.csv");
        // Every text has another length, so that a coarse file clock cannot hide a change.
        std::fs::write(&path, format!("{HEADER}Old,A,{UNKNOWN}\n")).unwrap();
        let file = LicenseNamesFile::open(Some(path.clone())).unwrap();
        assert_eq!(file.names().get(UNKNOWN), Some("Old"));

        std::fs::write(&path, format!("{HEADER}Newer,A,{UNKNOWN}\n")).unwrap();
        assert_eq!(file.names().get(UNKNOWN), Some("Newer"));

        std::fs::write(&path, "half a file").unwrap();
        assert_eq!(file.names().get(UNKNOWN), Some("Newer"));

        std::fs::remove_file(&path).unwrap();
        assert_eq!(file.names().get(UNKNOWN), Some("Newer"));

        std::fs::write(&path, format!("{HEADER}Newest one,A,{UNKNOWN}\n")).unwrap();
        assert_eq!(file.names().get(UNKNOWN), Some("Newest one"));
    }

    #[test]
    fn a_missing_file_is_refused_at_the_start_and_no_file_is_no_names() {
        let folder = tempfile::tempdir().unwrap();
        let missing = LicenseNamesFile::open(Some(folder.path().join("missing.csv")));
        assert!(matches!(missing, Err(LicenseNamesError::Unreadable(_))));
        assert_eq!(
            LicenseNamesFile::open(None).unwrap().names().get(UNKNOWN),
            None
        );
    }
}
