//! Files that are complete or not there: written beside their place, then renamed into it.

use std::path::Path;

use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use datafusion::parquet::arrow::ArrowWriter;

use super::Error;

/// Puts `bytes` at `path`, making its folder if need be.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut beside = path.as_os_str().to_owned();
        beside.push(".tmp");
        std::fs::write(&beside, bytes)?;
        std::fs::rename(&beside, path)
    };
    write().map_err(|source| Error::Write { path: path.to_owned(), source })
}

/// Puts the rows at `path` as Parquet.
pub(super) fn write_parquet(path: &Path, rows: impl FnOnce() -> Result<RecordBatch, ArrowError>) -> Result<(), Error> {
    let encode = || -> Result<Vec<u8>, Box<dyn std::error::Error + Send + Sync>> {
        let batch = rows()?;
        let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None)?;
        writer.write(&batch)?;
        Ok(writer.into_inner()?)
    };
    let bytes = encode().map_err(|source| Error::Encode { path: path.to_owned(), source })?;
    write_atomically(path, &bytes)
}

/// Rows as CSV with a header; a NULL is empty, a text is quoted only where it must be.
pub(super) struct CsvFile {
    text: String,
}

impl CsvFile {
    pub(super) fn new(header: &[&str]) -> Self {
        Self { text: header.join(",") + "\n" }
    }

    pub(super) fn row(&mut self, values: &[Option<String>]) {
        for (index, value) in values.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            match value.as_deref() {
                None => {}
                Some(text) if text.is_empty() || text.contains([',', '"', '\n', '\r']) => {
                    self.text.push('"');
                    self.text.push_str(&text.replace('"', "\"\""));
                    self.text.push('"');
                }
                Some(text) => self.text.push_str(text),
            }
        }
        self.text.push('\n');
    }

    pub(super) fn write(self, path: &Path) -> Result<(), Error> {
        write_atomically(path, self.text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_break_a_line_is_quoted() {
        let mut file = CsvFile::new(&["a", "b", "c"]);
        file.row(&[Some("x,y".to_owned()), None, Some("say \"hi\"".to_owned())]);
        assert_eq!(file.text, "a,b,c\n\"x,y\",,\"say \"\"hi\"\"\"\n");
    }

    #[test]
    fn nothing_is_left_beside_a_written_file() {
        let folder = tempfile::tempdir().unwrap();
        write_atomically(&folder.path().join("deep/file"), b"x").unwrap();
        let names: Vec<_> = std::fs::read_dir(folder.path().join("deep")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["file"]);
    }
}
