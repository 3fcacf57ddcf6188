//! What this server says of itself: `CommandGetSqlInfo` and `CommandGetXdbcTypeInfo`.

use arrow_flight::sql::metadata::{
    SqlInfoData, SqlInfoDataBuilder, XdbcTypeInfo, XdbcTypeInfoData, XdbcTypeInfoDataBuilder,
};
use arrow_flight::sql::{
    Nullable, Searchable, SqlInfo, SqlNullOrdering, SqlSupportedCaseSensitivity, SqlSupportedTransaction, XdbcDataType,
};

use crate::query::QUERY_TIME_MAX;

/// The server's facts.
pub(super) fn sql_info() -> arrow_flight::error::Result<SqlInfoData> {
    let mut info = SqlInfoDataBuilder::new();
    info.append(SqlInfo::FlightSqlServerName, "Mainspring");
    info.append(SqlInfo::FlightSqlServerVersion, env!("CARGO_PKG_VERSION"));
    info.append(SqlInfo::FlightSqlServerArrowVersion, arrow::ARROW_VERSION);
    info.append(SqlInfo::FlightSqlServerReadOnly, true);
    info.append(SqlInfo::FlightSqlServerSql, true);
    info.append(SqlInfo::FlightSqlServerSubstrait, false);
    info.append(SqlInfo::FlightSqlServerTransaction, SqlSupportedTransaction::None as i32);
    info.append(SqlInfo::FlightSqlServerCancel, true);
    info.append(SqlInfo::FlightSqlServerBulkIngestion, false);
    info.append(SqlInfo::FlightSqlServerIngestTransactionsSupported, false);
    let milliseconds = i32::try_from(QUERY_TIME_MAX.as_millis()).unwrap_or(i32::MAX);
    info.append(SqlInfo::FlightSqlServerStatementTimeout, milliseconds);
    info.append(SqlInfo::FlightSqlServerTransactionTimeout, 0);
    info.append(SqlInfo::SqlDdlCatalog, false);
    info.append(SqlInfo::SqlDdlSchema, false);
    info.append(SqlInfo::SqlDdlTable, false);
    info.append(SqlInfo::SqlIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityLowercase as i32);
    info.append(SqlInfo::SqlIdentifierQuoteChar, "\"");
    // quoted ones are taken as they are written, for which the protocol has no value of its own
    info.append(SqlInfo::SqlQuotedIdentifierCase, SqlSupportedCaseSensitivity::SqlCaseSensitivityUnknown as i32);
    // those that the caller may not read are not listed
    info.append(SqlInfo::SqlAllTablesAreSelectable, true);
    info.append(SqlInfo::SqlNullOrdering, SqlNullOrdering::SqlNullsSortedHigh as i32);
    info.append(SqlInfo::SqlSearchStringEscape, "\\");
    info.append(SqlInfo::SqlExtraNameCharacters, "@");
    info.append(SqlInfo::SqlSupportsColumnAliasing, true);
    info.append(SqlInfo::SqlNullPlusNullIsNull, true);
    info.append(SqlInfo::SqlSupportsTableCorrelationNames, true);
    info.append(SqlInfo::SqlSupportsDifferentTableCorrelationNames, false);
    info.append(SqlInfo::SqlSupportsExpressionsInOrderBy, true);
    info.append(SqlInfo::SqlSupportsOrderByUnrelated, true);
    info.append(SqlInfo::SqlSupportsLikeEscapeClause, true);
    info.append(SqlInfo::SqlSupportsNonNullableColumns, true);
    info.append(SqlInfo::SqlSchemaTerm, "schema");
    info.append(SqlInfo::SqlCatalogTerm, "catalog");
    info.append(SqlInfo::SqlCatalogAtStart, true);
    info.build()
}

/// The types of columns.
pub(super) fn types() -> arrow_flight::error::Result<XdbcTypeInfoData> {
    let mut info = XdbcTypeInfoDataBuilder::new();
    let size_and_quotes = [
        ("boolean", XdbcDataType::XdbcBit, 1, None),
        ("bigint", XdbcDataType::XdbcBigint, 19, None),
        ("integer", XdbcDataType::XdbcInteger, 10, None),
        ("double", XdbcDataType::XdbcDouble, 15, None),
        ("varchar", XdbcDataType::XdbcVarchar, i32::MAX, Some("'")),
        ("varbinary", XdbcDataType::XdbcVarbinary, i32::MAX, Some("'")),
        ("date", XdbcDataType::XdbcDate, 10, Some("'")),
        ("timestamp", XdbcDataType::XdbcTimestamp, 32, Some("'")),
    ];
    for (name, data_type, size, quote) in size_and_quotes {
        let is_number = matches!(name, "bigint" | "integer" | "double");
        info.append(XdbcTypeInfo {
            type_name: name.into(),
            data_type,
            sql_data_type: data_type,
            column_size: Some(size),
            literal_prefix: quote.map(ToOwned::to_owned),
            literal_suffix: quote.map(ToOwned::to_owned),
            nullable: Nullable::NullabilityNullable,
            case_sensitive: name == "varchar",
            searchable: Searchable::Full,
            unsigned_attribute: is_number.then_some(false),
            num_prec_radix: is_number.then_some(10),
            local_type_name: Some(name.into()),
            ..XdbcTypeInfo::default()
        });
    }
    info.build()
}
