/** One view of each PDU over the initiator's arena, moved from header to header. */
import { AsyncMessagePdu } from "../../dataplane/wire/async-message.js";
import { TargetPdu } from "../../dataplane/wire/bhs.js";
import { DataInPdu } from "../../dataplane/wire/data-in.js";
import { DataOutPdu } from "../../dataplane/wire/data-out.js";
import { LogoutRequestPdu } from "../../dataplane/wire/logout-request.js";
import { LogoutResponsePdu } from "../../dataplane/wire/logout-response.js";
import { NopInPdu } from "../../dataplane/wire/nop-in.js";
import { NopOutPdu } from "../../dataplane/wire/nop-out.js";
import { R2tPdu } from "../../dataplane/wire/r2t.js";
import { RejectPdu } from "../../dataplane/wire/reject.js";
import { ScsiCommandPdu } from "../../dataplane/wire/scsi-command.js";
import { ScsiResponsePdu } from "../../dataplane/wire/scsi-response.js";
import { SenseDataSegment } from "../../dataplane/wire/sense-data-segment.js";

export class Pdus {
  readonly any: TargetPdu;
  readonly scsiCommand: ScsiCommandPdu;
  readonly scsiResponse: ScsiResponsePdu;
  readonly sense: SenseDataSegment;
  readonly dataIn: DataInPdu;
  readonly dataOut: DataOutPdu;
  readonly r2t: R2tPdu;
  readonly nopIn: NopInPdu;
  readonly nopOut: NopOutPdu;
  readonly logoutRequest: LogoutRequestPdu;
  readonly logoutResponse: LogoutResponsePdu;
  readonly asyncMessage: AsyncMessagePdu;
  readonly reject: RejectPdu;

  constructor(view: DataView) {
    this.any = new TargetPdu(view);
    this.scsiCommand = new ScsiCommandPdu(view);
    this.scsiResponse = new ScsiResponsePdu(view);
    this.sense = new SenseDataSegment(view);
    this.dataIn = new DataInPdu(view);
    this.dataOut = new DataOutPdu(view);
    this.r2t = new R2tPdu(view);
    this.nopIn = new NopInPdu(view);
    this.nopOut = new NopOutPdu(view);
    this.logoutRequest = new LogoutRequestPdu(view);
    this.logoutResponse = new LogoutResponsePdu(view);
    this.asyncMessage = new AsyncMessagePdu(view);
    this.reject = new RejectPdu(view);
  }
}
