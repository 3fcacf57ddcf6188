"""The few protocol buffers of Flight SQL that the raw client of pyarrow needs, written by hand."""

import pyarrow as pa
import pyarrow.flight as flight

from harness import PATIENCE

SQL = "type.googleapis.com/arrow.flight.protocol.sql."


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def field(number: int, value: bytes | str) -> bytes:
    """A field that holds bytes."""
    value = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(value)) + value


def fields(message: bytes) -> dict[int, bytes]:
    """The fields of a message that hold bytes; the others are not needed here."""
    found, at = {}, 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        tag = number()
        if tag & 7 == 2:
            length = number()
            found[tag >> 3] = message[at : at + length]
            at += length
        else:
            found[tag >> 3] = number()
    return found


def packed(name: str, message: bytes) -> bytes:
    return field(1, SQL + name) + field(2, message)


def unpacked(message: bytes) -> dict[int, bytes]:
    return fields(fields(message)[2])


class Client:
    """Flight SQL by the raw client."""

    def __init__(self, address: str, key: str | None = None):
        self.client = flight.connect(f"grpc://{address}")
        headers = [(b"authorization", f"Bearer {key}".encode())] if key else []
        self.options = flight.FlightCallOptions(headers=headers, timeout=PATIENCE)

    def info(self, sql: str) -> flight.FlightInfo:
        return self.info_of("CommandStatementQuery", field(1, sql))

    def info_of(self, name: str, message: bytes) -> flight.FlightInfo:
        descriptor = flight.FlightDescriptor.for_command(packed(name, message))
        return self.client.get_flight_info(descriptor, self.options)

    def read(self, info: flight.FlightInfo) -> pa.Table:
        return self.client.do_get(info.endpoints[0].ticket, self.options).read_all()

    def count(self, info: flight.FlightInfo) -> int:
        """The rows of a result, read batch by batch: reading all of one that is cancelled interrupts the main thread."""
        reader = self.client.do_get(info.endpoints[0].ticket, self.options)
        return sum(chunk.data.num_rows for chunk in reader)

    def action(self, name: str, body: bytes) -> list[bytes]:
        return [result.body.to_pybytes() for result in self.client.do_action((name, body), self.options)]

    def prepare(self, sql: str) -> bytes:
        (result,) = self.action("CreatePreparedStatement", packed("ActionCreatePreparedStatementRequest", field(1, sql)))
        return unpacked(result)[1]

    def bind(self, handle: bytes, values: pa.Table):
        descriptor = flight.FlightDescriptor.for_command(packed("CommandPreparedStatementQuery", field(1, handle)))
        writer, _ = self.client.do_put(descriptor, values.schema, self.options)
        with writer:
            writer.write_table(values)

    def close_statement(self, handle: bytes):
        self.action("ClosePreparedStatement", packed("ActionClosePreparedStatementRequest", field(1, handle)))

    def cancel(self, info: flight.FlightInfo) -> int:
        (result,) = self.action("CancelFlightInfo", field(1, info.serialize()))
        return fields(result)[1]
