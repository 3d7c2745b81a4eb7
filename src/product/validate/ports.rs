//! `spec.outputPorts`: where the rows can be read, and which port answers the product's name.

use std::collections::{BTreeMap, HashMap};

use crate::document::{Faults, closest};
use crate::product::sla::{Freshness, parse_uptime};
use crate::product::spec::{
    AccessSpec, CompressionSpec, CredentialsSpec, CsvSpec, OnErrorSpec, OutputPortSpec, PortKindSpec, SlaSpec, TlsModeSpec,
};
use crate::product::{
    Compression, CredentialsRef, CsvDialect, FileKeys, OnError, OutputPort, PortAccess, PortFormat, PortKind, PortName, ServerTls, Sla,
    TlsMode,
};

use super::location;

/// Formats of ports that are read.
const FORMATS: [&str; 6] = ["csv", "ndjson", "arrow", "avro", "parquet", "postgres"];

/// The valid ports in order, and the index of the default one.
pub(super) fn output_ports(specs: &[OutputPortSpec], typed: bool, faults: &mut Faults<'_>) -> (Vec<OutputPort>, Option<usize>) {
    let mut seen: HashMap<String, &str> = HashMap::new();
    let mut ports = Vec::with_capacity(specs.len());
    let mut chosen: Option<usize> = None;
    for (index, spec) in specs.iter().enumerate() {
        let at = format!("/spec/outputPorts/{index}");
        if spec.default && spec.kind == PortKindSpec::Stream {
            faults.add_with_hint(&format!("{at}/default"), "a stream port cannot be the default", "Mark a batch or table port.");
        } else if spec.default && chosen.is_some() {
            faults.add_with_hint(&format!("{at}/default"), "two ports are marked as the default", "Keep \"default: true\" at one port.");
        }
        let Some(port) = output_port(spec, &at, typed, faults) else { continue };
        if let Some(other) = seen.insert(port.name.to_sql(), &spec.name) {
            let message = format!("the port \"{}\" is the same name as \"{other}\"", spec.name);
            faults.add_with_hint(&format!("{at}/name"), message, "Port names must differ in more than case and dashes; rename one.");
        }
        if spec.default && chosen.is_none() {
            chosen = Some(ports.len());
        }
        ports.push(port);
    }
    let first = ports.iter().position(|port| port.kind != PortKind::Stream);
    (ports, chosen.or(first))
}

fn output_port(spec: &OutputPortSpec, at: &str, typed: bool, faults: &mut Faults<'_>) -> Option<OutputPort> {
    let name = PortName::parse(&spec.name).map_err(|error| faults.add(&format!("{at}/name"), error.to_string())).ok();
    let credentials = spec.credentials.as_ref().and_then(|credentials| {
        let parsed = location::parse_credentials(&credentials.reference);
        parsed.map_err(|(message, hint)| faults.add_with_hint(&format!("{at}/credentials/ref"), message, hint)).ok()
    });
    let tls = server_tls(spec, at, faults);
    let encryption = file_keys(spec, at, faults);
    check_sla(&spec.sla, at, faults);
    let format = format(spec, at, typed, faults);
    check_stream_keys(spec, at, faults);
    if let Some(format) = &format {
        check_location(spec, format, at, faults);
    }
    Some(OutputPort {
        name: name?,
        kind: match spec.kind {
            PortKindSpec::Batch => PortKind::Batch,
            PortKindSpec::Table => PortKind::Table,
            PortKindSpec::Stream => PortKind::Stream,
        },
        format: format?,
        location: if spec.kind == PortKindSpec::Stream { String::new() } else { spec.location.clone().unwrap_or_default() },
        partitioning: spec.partitioning.clone(),
        credentials,
        tls,
        encryption,
        access: match spec.access {
            AccessSpec::Open => PortAccess::Open,
            AccessSpec::Restricted => PortAccess::Restricted,
        },
        sla: Sla { freshness: spec.sla.freshness.clone(), uptime: spec.sla.uptime.clone() },
    })
}

fn format(spec: &OutputPortSpec, at: &str, typed: bool, faults: &mut Faults<'_>) -> Option<PortFormat> {
    if spec.csv.is_some() && (spec.format != "csv" || spec.kind == PortKindSpec::Stream) {
        faults.add_with_hint(&format!("{at}/csv"), "\"csv\" is given for a port of another format", "Remove it.");
    }
    if spec.on_error.is_some() && (!matches!(spec.format.as_str(), "csv" | "ndjson") || spec.kind == PortKindSpec::Stream) {
        let hint = "Remove it; only CSV and NDJSON hold texts that may be no values.";
        faults.add_with_hint(&format!("{at}/on_error"), "\"on_error\" is given for a port of another format", hint);
    }
    if spec.kind == PortKindSpec::Stream {
        return Some(PortFormat::Stream(spec.format.clone()));
    }
    match (spec.format.as_str(), spec.kind) {
        ("csv", _) => {
            let on_error = on_error(spec.on_error);
            if !typed {
                let hint = "Give the product a \"schema\" with the name and type of each column.";
                faults.add_with_hint(&format!("{at}/format"), "a CSV port needs a typed contract", hint);
            }
            csv_dialect(spec.csv.as_ref(), &format!("{at}/csv"), faults).map(|dialect| PortFormat::Csv(CsvDialect { on_error, ..dialect }))
        }
        ("ndjson", _) => {
            if !typed {
                let hint = "Give the product a \"schema\" with the name and type of each column.";
                faults.add_with_hint(&format!("{at}/format"), "an NDJSON port needs a typed contract", hint);
            }
            Some(PortFormat::Ndjson(on_error(spec.on_error)))
        }
        ("arrow", _) => Some(PortFormat::Arrow),
        ("avro", _) => Some(PortFormat::Avro),
        ("parquet", _) => Some(PortFormat::Parquet),
        ("postgres", PortKindSpec::Table) => Some(PortFormat::Postgres),
        ("postgres", _) => {
            faults.add_with_hint(&format!("{at}/type"), "a postgres port is no batch", "Write \"type: table\".");
            None
        }
        (other, _) => {
            let near = closest(other, FORMATS).map_or_else(String::new, |near| format!(" Did you mean \"{near}\"?"));
            let hint = format!("The formats that are read are {}.{near}", FORMATS.join(", "));
            faults.add_with_hint(&format!("{at}/format"), "the format of the port is not known", hint);
            None
        }
    }
}

fn on_error(spec: Option<OnErrorSpec>) -> OnError {
    match spec {
        None | Some(OnErrorSpec::Fail) => OnError::Fail,
        Some(OnErrorSpec::Null) => OnError::Null,
    }
}

fn server_tls(spec: &OutputPortSpec, at: &str, faults: &mut Faults<'_>) -> ServerTls {
    let Some(tls) = &spec.tls else { return ServerTls::default() };
    if spec.format != "postgres" {
        faults.add_with_hint(&format!("{at}/tls"), "\"tls\" is given for a port without a server of its own", "Remove it.");
    }
    let mode = match tls.mode {
        TlsModeSpec::Disable => TlsMode::Disable,
        TlsModeSpec::Prefer => TlsMode::Prefer,
        TlsModeSpec::Require => TlsMode::Require,
        TlsModeSpec::VerifyCa => TlsMode::VerifyCa,
        TlsModeSpec::VerifyFull => TlsMode::VerifyFull,
    };
    if tls.authorities.is_some() && mode < TlsMode::VerifyCa {
        let hint = "Write \"mode: verify-full\", or remove \"authorities\".";
        faults.add_with_hint(&format!("{at}/tls/authorities"), "\"authorities\" means nothing where no certificate is verified", hint);
    }
    let authorities = tls.authorities.as_ref().and_then(|authorities| {
        let parsed = location::parse_credentials(&authorities.reference);
        parsed.map_err(|(message, hint)| faults.add_with_hint(&format!("{at}/tls/authorities/ref"), message, hint)).ok()
    });
    ServerTls { mode, authorities }
}

fn file_keys(spec: &OutputPortSpec, at: &str, faults: &mut Faults<'_>) -> Option<FileKeys> {
    let encryption = spec.encryption.as_ref()?;
    if spec.format != "parquet" || spec.kind == PortKindSpec::Stream {
        let hint = "Remove it; only Parquet files are read with keys.";
        faults.add_with_hint(&format!("{at}/encryption"), "\"encryption\" is given for a port of another format", hint);
    }
    let at = format!("{at}/encryption");
    let footer = encryption.footer_key.as_ref().map(|of| file_key(of, &format!("{at}/footer_key"), faults));
    let columns = named_keys(&encryption.column_keys, &format!("{at}/column_keys"), faults);
    let masters = named_keys(&encryption.master_keys, &format!("{at}/master_keys"), faults);
    match (footer, encryption.master_keys.is_empty()) {
        (Some(footer), true) => Some(FileKeys::Direct { footer: footer?, columns: columns? }),
        (None, false) if encryption.column_keys.is_empty() => Some(FileKeys::Wrapping(masters?)),
        (None, true) => {
            let hint = "Refer to the key of the files' footers, or to \"master_keys\" if their keys lie wrapped in them.";
            faults.add_with_hint(&at, "the key \"footer_key\" is missing", hint);
            None
        }
        (_, false) => {
            let hint = "Files whose keys lie wrapped in them need \"master_keys\" and nothing else.";
            faults.add_with_hint(&format!("{at}/master_keys"), "\"master_keys\" is given beside keys of the files themselves", hint);
            None
        }
    }
}

fn named_keys(keys: &BTreeMap<String, CredentialsSpec>, at: &str, faults: &mut Faults<'_>) -> Option<BTreeMap<String, CredentialsRef>> {
    let keys: Vec<_> = keys.iter().map(|(name, of)| Some((name.clone(), file_key(of, &format!("{at}/{name}"), faults)?))).collect();
    keys.into_iter().collect()
}

fn file_key(of: &CredentialsSpec, at: &str, faults: &mut Faults<'_>) -> Option<CredentialsRef> {
    let parsed = location::parse_credentials(&of.reference);
    parsed.map_err(|(message, hint)| faults.add_with_hint(&format!("{at}/ref"), message, hint)).ok()
}

fn check_location(spec: &OutputPortSpec, format: &PortFormat, at: &str, faults: &mut Faults<'_>) {
    match (&spec.location, format) {
        (None, PortFormat::Stream(_)) => {}
        (None, _) => faults.add_with_hint(at, "the key \"location\" is missing", "Say where the port's data lies."),
        (Some(text), _) => {
            if let Err((message, hint)) = location::check(text, format) {
                faults.add_with_hint(&format!("{at}/location"), message, hint);
            }
        }
    }
}

fn check_stream_keys(spec: &OutputPortSpec, at: &str, faults: &mut Faults<'_>) {
    if spec.kind == PortKindSpec::Stream {
        return;
    }
    if spec.schema.is_some() {
        let hint = "The columns of the product stand under spec.schema.";
        faults.add_with_hint(&format!("{at}/schema"), "\"schema\" is for stream ports", hint);
    }
    if spec.topic.is_some() {
        faults.add_with_hint(&format!("{at}/topic"), "\"topic\" is for stream ports", "Remove it, or write \"type: stream\".");
    }
}

fn check_sla(sla: &SlaSpec, at: &str, faults: &mut Faults<'_>) {
    if let Some(Err(error)) = sla.freshness.as_deref().map(Freshness::parse) {
        faults.add_with_hint(
            &format!("{at}/sla/freshness"),
            "\"freshness\" is not understood",
            format!("{}.", capitalize(&error.to_string())),
        );
    }
    if let Some(Err(error)) = sla.uptime.as_deref().map(parse_uptime) {
        faults.add_with_hint(&format!("{at}/sla/uptime"), "\"uptime\" is not understood", format!("{}.", capitalize(&error.to_string())));
    }
}

fn capitalize(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

fn csv_dialect(spec: Option<&CsvSpec>, at: &str, faults: &mut Faults<'_>) -> Option<CsvDialect> {
    let standard = CsvDialect::default();
    let Some(spec) = spec else { return Some(standard) };
    let mut byte = |key: &str, text: Option<&str>, default: u8| match text.map(str::as_bytes) {
        None => Some(default),
        Some([byte]) if byte.is_ascii() && !matches!(byte, b'\n' | b'\r' | 0) => Some(*byte),
        Some(_) => {
            let hint = "A tab is written \"\\t\", in double quotes.";
            faults.add_with_hint(&format!("{at}/{key}"), format!("\"{key}\" must be one ASCII character"), hint);
            None
        }
    };
    let delimiter = byte("delimiter", spec.delimiter.as_deref(), standard.delimiter);
    let quote = byte("quote", spec.quote.as_deref(), standard.quote);
    let (delimiter, quote) = (delimiter?, quote?);
    if delimiter == quote {
        faults.add(&format!("{at}/quote"), "\"quote\" and \"delimiter\" are the same character");
    }
    Some(CsvDialect {
        header: spec.header.unwrap_or(standard.header),
        delimiter,
        quote,
        null_value: spec.null_value.clone().unwrap_or_default(),
        compression: match spec.compression {
            CompressionSpec::None => Compression::None,
            CompressionSpec::Gzip => Compression::Gzip,
            CompressionSpec::Zstd => Compression::Zstd,
            CompressionSpec::Bzip2 => Compression::Bzip2,
            CompressionSpec::Xz => Compression::Xz,
        },
        on_error: standard.on_error,
    })
}
