import io.netty.buffer.ByteBuf;
import io.netty.buffer.Unpooled;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.projectfloodlight.openflow.protocol.OFBarrierReply;
import org.projectfloodlight.openflow.protocol.OFBucket;
import org.projectfloodlight.openflow.protocol.OFEchoRequest;
import org.projectfloodlight.openflow.protocol.OFFactories;
import org.projectfloodlight.openflow.protocol.OFFlowMod;
import org.projectfloodlight.openflow.protocol.OFFlowStatsEntry;
import org.projectfloodlight.openflow.protocol.OFFlowStatsReply;
import org.projectfloodlight.openflow.protocol.OFGroupMod;
import org.projectfloodlight.openflow.protocol.OFMatchV3;
import org.projectfloodlight.openflow.protocol.OFMessage;
import org.projectfloodlight.openflow.protocol.OFMessageReader;
import org.projectfloodlight.openflow.protocol.OFOxmList;
import org.projectfloodlight.openflow.protocol.OFPacketIn;
import org.projectfloodlight.openflow.protocol.OFPacketOut;
import org.projectfloodlight.openflow.protocol.OFPortDesc;
import org.projectfloodlight.openflow.protocol.OFPortStatus;
import org.projectfloodlight.openflow.protocol.OFVersion;
import org.projectfloodlight.openflow.protocol.action.OFAction;
import org.projectfloodlight.openflow.protocol.action.OFActionOutput;
import org.projectfloodlight.openflow.protocol.action.OFActionPushVlan;
import org.projectfloodlight.openflow.protocol.action.OFActionSetField;
import org.projectfloodlight.openflow.protocol.instruction.OFInstruction;
import org.projectfloodlight.openflow.protocol.instruction.OFInstructionApplyActions;
import org.projectfloodlight.openflow.protocol.match.Match;
import org.projectfloodlight.openflow.protocol.match.MatchField;
import org.projectfloodlight.openflow.protocol.oxm.OFOxm;
import org.projectfloodlight.openflow.protocol.oxm.OFOxmEthDst;
import org.projectfloodlight.openflow.protocol.oxm.OFOxmEthType;
import org.projectfloodlight.openflow.protocol.oxm.OFOxmInPort;
import org.projectfloodlight.openflow.protocol.oxm.OFOxmIpProto;
import org.projectfloodlight.openflow.protocol.oxm.OFOxmIpv4Dst;
import org.projectfloodlight.openflow.protocol.oxm.OFOxmIpv4Src;
import org.projectfloodlight.openflow.protocol.oxm.OFOxmTcpDst;
import org.projectfloodlight.openflow.protocol.oxm.OFOxmVlanVid;
import org.projectfloodlight.openflow.protocol.ver13.OFFlowModCommandSerializerVer13;
import org.projectfloodlight.openflow.protocol.ver13.OFGroupModCommandSerializerVer13;
import org.projectfloodlight.openflow.protocol.ver13.OFGroupTypeSerializerVer13;
import org.projectfloodlight.openflow.protocol.ver13.OFPacketInReasonSerializerVer13;
import org.projectfloodlight.openflow.protocol.ver13.OFPortReasonSerializerVer13;
import org.projectfloodlight.openflow.protocol.ver13.OFStatsTypeSerializerVer13;

/**
 * Measures openflowj for bench-codec. What it is asked and answers stands in bench/src/peer.rs,
 * what the checksum is in bench/src/checksum.rs.
 *
 * <p>Decoding goes by the reader that a controller takes after the handshake, from a buffer on
 * the heap that wraps the frame. Encoding is writeTo of a message that is there already, into a
 * buffer on the heap that has room. Of netty's buffers this kind was the fastest here: those with
 * direct memory and those that netty allocates itself took up to twice as long, since they fill
 * padding through a call into the virtual machine.
 */
public final class OpenflowjWorker {
  /** A message is at most this long: its length has 16 bits. */
  private static final int FRAME_MAX = 65_535;

  private static final OFMessageReader<OFMessage> READER =
      OFFactories.getFactory(OFVersion.OF_13).getReader();

  public static void main(String[] args) throws Exception {
    Map<String, byte[]> frames = new HashMap<>();
    for (String line : Files.readAllLines(Path.of(args[0]))) {
      String[] words = line.split(" ");
      frames.put(words[0], bytes(words[1]));
    }
    PrintStream out = new PrintStream(System.out, true, StandardCharsets.US_ASCII);
    out.println(
        archive("openflowj") + ", " + archive("netty-all") + ", "
            + System.getProperty("java.vm.name") + " " + System.getProperty("java.vm.version"));
    BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII));
    ByteBuf[] written = {
      Unpooled.wrappedBuffer(new byte[FRAME_MAX]), Unpooled.wrappedBuffer(new byte[FRAME_MAX])
    };
    for (String line = in.readLine(); line != null; line = in.readLine()) {
      String[] words = line.split(" ");
      byte[] bytes = frames.get(words[0]);
      ByteBuf[] frame = {Unpooled.wrappedBuffer(bytes), Unpooled.wrappedBuffer(bytes.clone())};
      long times = Long.parseLong(words[2]);
      long took;
      long sum;
      if (words[1].equals("decode")) {
        long start = System.nanoTime();
        sum = decode(frame, times);
        took = System.nanoTime() - start;
      } else {
        OFMessage message = READER.readFrom(frame[0]);
        long start = System.nanoTime();
        sum = encode(message, written, times);
        took = System.nanoTime() - start;
        sum += fnv(written[0]);
      }
      out.println(took + " " + Long.toUnsignedString(sum));
    }
  }

  // Both loops take two buffers in turns: what is the same each time round, the compiler would do
  // once, before or behind the loop.

  private static long decode(ByteBuf[] frames, long times) throws Exception {
    long sum = 0;
    for (long i = 0; i < times; i++) {
      ByteBuf frame = frames[(int) (i & 1)];
      frame.readerIndex(0);
      sum += checksum(READER.readFrom(frame));
    }
    return sum;
  }

  private static long encode(OFMessage message, ByteBuf[] outs, long times) {
    long written = 0;
    for (long i = 0; i < times; i++) {
      ByteBuf out = outs[(int) (i & 1)];
      out.clear();
      message.writeTo(out);
      written += out.writerIndex();
    }
    return written;
  }

  private static long checksum(OFMessage message) {
    long head = message.getVersion().getWireVersion() + 5 * message.getXid();
    switch (message.getType()) {
      case ECHO_REQUEST:
        return head + 3 * 2 + payload(((OFEchoRequest) message).getData());
      case PACKET_IN:
        return head + 3 * 10 + packetIn((OFPacketIn) message);
      case PORT_STATUS:
        return head + 3 * 12 + portStatus((OFPortStatus) message);
      case PACKET_OUT:
        return head + 3 * 13 + packetOut((OFPacketOut) message);
      case FLOW_MOD:
        return head + 3 * 14 + flowMod((OFFlowMod) message);
      case GROUP_MOD:
        return head + 3 * 15 + groupMod((OFGroupMod) message);
      case STATS_REPLY:
        return head + 3 * 19 + flowStats((OFFlowStatsReply) message);
      case BARRIER_REPLY:
        return ((OFBarrierReply) message).getXid() * 5 + message.getVersion().getWireVersion() + 3 * 21;
      default:
        throw new IllegalArgumentException("not in the corpus: " + message);
    }
  }

  private static long payload(byte[] data) {
    int length = data.length;
    return length == 0 ? 0 : length + 3 * (data[0] & 0xffL) + 5 * (data[length - 1] & 0xffL);
  }

  private static long unsigned(int number) {
    return number & 0xffff_ffffL;
  }

  private static long flowMod(OFFlowMod body) {
    return body.getCookie().getValue()
        + 3 * body.getCookieMask().getValue()
        + 5 * (body.getTableId().getValue() & 0xffL)
        + 7 * (OFFlowModCommandSerializerVer13.toWireValue(body.getCommand()) & 0xffL)
        + 9L * body.getIdleTimeout()
        + 11L * body.getHardTimeout()
        + 13L * body.getPriority()
        + 15 * unsigned(body.getBufferId().getInt())
        + 17 * unsigned(body.getOutPort().getPortNumber())
        + 19 * unsigned(body.getOutGroup().getGroupNumber())
        + 21L * body.getFlags().size()
        + ruleMatch(body.getMatch())
        + instructions(body.getInstructions());
  }

  private static long flowStats(OFFlowStatsReply body) {
    long sum =
        OFStatsTypeSerializerVer13.toWireValue(body.getStatsType()) + 3L * body.getFlags().size();
    for (OFFlowStatsEntry entry : body.getEntries()) {
      sum +=
          (entry.getTableId().getValue() & 0xffL)
              + 3 * entry.getDurationSec()
              + 5 * entry.getDurationNsec()
              + 7L * entry.getPriority()
              + 9L * entry.getIdleTimeout()
              + 11L * entry.getHardTimeout()
              + 13L * entry.getFlags().size()
              + 15 * entry.getCookie().getValue()
              + 17 * entry.getPacketCount().getValue()
              + 19 * entry.getByteCount().getValue()
              + ruleMatch(entry.getMatch())
              + instructions(entry.getInstructions());
    }
    return sum;
  }

  private static long packetIn(OFPacketIn body) {
    return unsigned(body.getBufferId().getInt())
        + 3L * body.getTotalLen()
        + 5 * (OFPacketInReasonSerializerVer13.toWireValue(body.getReason()) & 0xffL)
        + 7 * (body.getTableId().getValue() & 0xffL)
        + 9 * body.getCookie().getValue()
        + inPort(((OFMatchV3) body.getMatch()).getOxmList())
        + payload(body.getData());
  }

  private static long packetOut(OFPacketOut body) {
    return unsigned(body.getBufferId().getInt())
        + 3 * unsigned(body.getInPort().getPortNumber())
        + actions(body.getActions())
        + payload(body.getData());
  }

  private static long groupMod(OFGroupMod body) {
    long sum =
        (OFGroupModCommandSerializerVer13.toWireValue(body.getCommand()) & 0xffffL)
            + 3 * (OFGroupTypeSerializerVer13.toWireValue(body.getGroupType()) & 0xffL)
            + 5 * unsigned(body.getGroup().getGroupNumber());
    for (OFBucket bucket : body.getBuckets()) {
      sum +=
          bucket.getWeight()
              + 3 * unsigned(bucket.getWatchPort().getPortNumber())
              + 5 * unsigned(bucket.getWatchGroup().getGroupNumber())
              + actions(bucket.getActions());
    }
    return sum;
  }

  private static long portStatus(OFPortStatus body) {
    OFPortDesc port = body.getDesc();
    String name = port.getName();
    return (OFPortReasonSerializerVer13.toWireValue(body.getReason()) & 0xffL)
        + 3 * unsigned(port.getPortNo().getPortNumber())
        + 5 * port.getHwAddr().getLong()
        + 7L * name.length()
        + 9L * (name.isEmpty() ? 0 : name.charAt(0))
        + 11L * port.getConfig().size()
        + 13L * port.getState().size()
        + 15L * port.getCurr().size()
        + 17L * port.getAdvertised().size()
        + 19L * port.getSupported().size()
        + 21L * port.getPeer().size()
        + 23 * port.getCurrSpeed()
        + 25 * port.getMaxSpeed();
  }

  /**
   * What the rules of the corpus match. Each field is asked for by its own name, as a program does
   * that knows what it looks for: going through all of them would be slower, since openflowj looks at
   * every field there could be. Had a match another field or a mask, the checksum would differ.
   */
  private static long ruleMatch(Match match) {
    OFOxmList oxms = ((OFMatchV3) match).getOxmList();
    OFOxmEthType ethType = (OFOxmEthType) oxms.get(MatchField.ETH_TYPE);
    OFOxmIpProto ipProto = (OFOxmIpProto) oxms.get(MatchField.IP_PROTO);
    OFOxmIpv4Src source = (OFOxmIpv4Src) oxms.get(MatchField.IPV4_SRC);
    OFOxmIpv4Dst destination = (OFOxmIpv4Dst) oxms.get(MatchField.IPV4_DST);
    OFOxmTcpDst port = (OFOxmTcpDst) oxms.get(MatchField.TCP_DST);
    return inPort(oxms)
        + oxm(ethType.getTypeLen(), ethType.getValue().getValue())
        + oxm(ipProto.getTypeLen(), ipProto.getValue().getIpProtocolNumber())
        + oxm(source.getTypeLen(), unsigned(source.getValue().getInt()))
        + oxm(destination.getTypeLen(), unsigned(destination.getValue().getInt()))
        + oxm(port.getTypeLen(), port.getValue().getPort());
  }

  private static long inPort(OFOxmList oxms) {
    OFOxmInPort port = (OFOxmInPort) oxms.get(MatchField.IN_PORT);
    return oxm(port.getTypeLen(), unsigned(port.getValue().getPortNumber()));
  }

  private static long oxm(long header, long value) {
    return (header & 0xffff_ffffL) + 3 * value;
  }

  private static long setField(OFOxm<?> oxm) {
    if (oxm instanceof OFOxmEthDst) {
      OFOxmEthDst address = (OFOxmEthDst) oxm;
      return oxm(address.getTypeLen(), address.getValue().getLong());
    }
    OFOxmVlanVid vlan = (OFOxmVlanVid) oxm;
    return oxm(vlan.getTypeLen(), vlan.getValue().getRawVid() & 0xffffL);
  }

  private static long instructions(List<OFInstruction> instructions) {
    long sum = 0;
    for (OFInstruction instruction : instructions) {
      sum += 4 + actions(((OFInstructionApplyActions) instruction).getActions());
    }
    return sum;
  }

  private static long actions(List<OFAction> actions) {
    long sum = 0;
    for (OFAction action : actions) {
      switch (action.getType()) {
        case OUTPUT:
          OFActionOutput output = (OFActionOutput) action;
          sum += 3 * unsigned(output.getPort().getPortNumber()) + 5L * output.getMaxLen();
          break;
        case PUSH_VLAN:
          sum += 17 + 3L * ((OFActionPushVlan) action).getEthertype().getValue();
          break;
        case SET_FIELD:
          sum += 25 + setField(((OFActionSetField) action).getField());
          break;
        default:
          throw new IllegalArgumentException("not in the corpus: " + action);
      }
    }
    return sum;
  }

  private static byte[] bytes(String hex) {
    byte[] bytes = new byte[hex.length() / 2];
    for (int i = 0; i < bytes.length; i++) {
      bytes[i] = (byte) Integer.parseInt(hex.substring(2 * i, 2 * i + 2), 16);
    }
    return bytes;
  }

  private static long fnv(ByteBuf bytes) {
    long hash = 0xcbf2_9ce4_8422_2325L;
    for (int i = 0; i < bytes.writerIndex(); i++) {
      hash = (hash ^ (bytes.getByte(i) & 0xffL)) * 0x0000_0100_0000_01b3L;
    }
    return hash;
  }

  /** Name and version of an archive we run from. */
  private static String archive(String name) {
    Matcher found =
        Pattern.compile(name + "-([0-9][^/:]*)\\.jar").matcher(System.getProperty("java.class.path"));
    return name + " " + (found.find() ? found.group(1) : "of unknown version");
  }
}
