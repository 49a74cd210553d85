/** Between Login PDUs on the wire and the objects that the login machine reads and writes. */
import { BHS_LENGTH } from "../dataplane/wire/bhs.js";
import { LoginRequestPdu } from "../dataplane/wire/login-request.js";
import { LoginResponsePdu } from "../dataplane/wire/login-response.js";
import type { LoginRequest, LoginResponse } from "./login/messages.js";
import { viewOf } from "./pdu-stream.js";

const ISID_OFFSET = 8;
const ISID_BYTES = 6;

export function decodeLoginRequest(header: Buffer, text: Buffer): LoginRequest {
  const pdu = new LoginRequestPdu(viewOf(header));
  return {
    transit: pdu.transit,
    continued: pdu.continue,
    csg: pdu.csg,
    nsg: pdu.nsg,
    versionMax: pdu.versionMax,
    versionMin: pdu.versionMin,
    isid: header.toString("hex", ISID_OFFSET, ISID_OFFSET + ISID_BYTES),
    tsih: pdu.tsih,
    cid: pdu.cid,
    initiatorTaskTag: pdu.initiatorTaskTag,
    cmdSN: pdu.cmdSN,
    expStatSN: pdu.expStatSN,
    text,
  };
}

/** The header; its DataSegmentLength is that of the response's text. */
export function encodeLoginResponse(response: LoginResponse): Buffer {
  const header = Buffer.alloc(BHS_LENGTH);
  const pdu = new LoginResponsePdu(viewOf(header)).clear();
  pdu.transit = response.transit;
  pdu.continue = response.continued;
  pdu.csg = response.csg;
  if (response.transit) pdu.nsg = response.nsg;
  pdu.versionMax = response.versionMax;
  pdu.versionActive = response.versionActive;
  header.write(response.isid, ISID_OFFSET, ISID_BYTES, "hex");
  pdu.tsih = response.tsih;
  pdu.initiatorTaskTag = response.initiatorTaskTag;
  pdu.statSN = response.statSN;
  pdu.expCmdSN = response.expCmdSN;
  pdu.maxCmdSN = response.maxCmdSN;
  pdu.status = response.status;
  pdu.dataSegmentLength = response.text.length;
  return header;
}
