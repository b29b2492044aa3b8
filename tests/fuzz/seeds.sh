#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Writes the seeds of fuzz_parse, fuzz_rule, fuzz_frame, fuzz_frames and fuzz_stream into corpus/: one of each shape, which the
# fuzzer takes apart. They are kept in the tree; run this after the form of an input has changed.
set -eu
cd "$(dirname "$0")/corpus"
mkdir -p fuzz_parse fuzz_rule fuzz_frame fuzz_frames fuzz_stream

# bytes FILE HEX...: blanks are for the reader
bytes()
{
	local file=$1 hex
	shift
	hex=$(tr -d ' \n\t' <<< "$*")
	printf "$(sed 's/../\\x&/g' <<< "$hex")" > "$file"
}

# --- fuzz_parse: one byte n_alternatives, four alternatives of 24 bytes, the frame ---

none=$(printf '00%.0s' {1..24})
# mask (8, little endian), match mask (4), match value (4), match end (2), id end (2), width, shift, flags, pad
offset_0_8="ffffffffffffffff 00000000 00000000 0000 0800 08 00 00 00"
offset_4_4="ffffffff00000000 00000000 00000000 0000 0800 04 00 00 00"
suffix_4_4="ffffffff00000000 00000000 00000000 0000 0000 04 00 01 00"
quic_short="ffffff0000000000 80000000 00000000 0100 0500 03 00 00 00"
quic_long="ffffff0000000000 a0000000 a0000000 0100 0a00 03 00 00 00"
wireguard_4="ffffffff00000000 ffffffff 00000004 0400 0800 04 20 02 00"

ethernet="020000000002 020000000001"
udp_21="9c40 1388 001d 0000 4107c4605e4504cc4f0011223344556677889900aa"
udp_frame="9c40 1388 0020 0000 00000014 0110 0000 000000000000002a 0000000000000001"
addresses="0a090001 0a090002"
addresses6="fd090000000000000000000000000001 fd090000000000000000000000000002"

# parse NAME N_ALTERNATIVES FOUR-ALTERNATIVES FRAME
parse()
{
	bytes "fuzz_parse/$1" "$2" "$3" "$ethernet" "$4"
}

one="$none $none $none"
parse ipv4 01 "$offset_0_8 $one" "0800 4500 0031 0000 0000 40 11 0000 $addresses $udp_21"
parse ipv4_our_frame 01 "$offset_0_8 $one" "0800 4500 0034 0000 0000 40 11 0000 $addresses $udp_frame"
parse ipv4_options 02 "$quic_short $quic_long $none $none" \
	"0800 4700 0039 0000 0000 40 11 0000 $addresses 0101010101010101 $udp_21"
parse ipv4_padding 01 "$suffix_4_4 $one" "0800 4500 0031 0000 0000 40 11 0000 $addresses $udp_21 eeeeeeeeee"
parse ipv4_first_fragment 01 "$offset_4_4 $one" "0800 4500 0031 0000 2000 40 11 0000 $addresses $udp_21"
parse ipv4_last_fragment 01 "$offset_4_4 $one" "0800 4500 0031 0000 0010 40 11 0000 $addresses $udp_21"
parse ipv4_tcp 01 "$offset_4_4 $one" "0800 4500 0031 0000 0000 40 06 0000 $addresses $udp_21"
parse vlan 01 "$suffix_4_4 $one" "8100 002a 0800 4500 0031 0000 0000 40 11 0000 $addresses $udp_21"
parse qinq 04 "$quic_short $quic_long $wireguard_4 $suffix_4_4" \
	"88a8 002a 8100 002b 86dd 60000000 001d 11 40 $addresses6 $udp_21"
parse ipv6 03 "$wireguard_4 $quic_long $offset_0_8 $none" "86dd 60000000 001d 11 40 $addresses6 $udp_21"
parse ipv6_extensions 01 "$offset_0_8 $one" "86dd 60000000 004d 00 40 $addresses6
	2b00010400000000 3c00000000000000 3300010400000000
	110400000000000100000001 000000000000000000000000 $udp_21"
parse ipv6_authentication 01 "$offset_0_8 $one" "86dd 60000000 0035 33 40 $addresses6
	110400000000000100000001 000000000000000000000000 $udp_21"
parse ipv6_fragment 01 "$offset_0_8 $one" "86dd 60000000 0025 2c 40 $addresses6 1100000100000001 $udp_21"
parse arp 00 "$none $one" "0806 0001080006040001"

# --- fuzz_frame: two bytes length of the payload, the payload, padding ---

bytes fuzz_frame/echo "0020 0000001c 0110 0000 000000000000002a 0000000000000001 1122334455667788"
bytes fuzz_frame/heartbeat "0018 00000014 0103 0000 000000000000002a 0000000000000001"
bytes fuzz_frame/padded "0018 00000014 017f 0000 000000000000002a 0000000000000001 0000000000000000"
bytes fuzz_frame/version "0018 00000014 0203 0000 000000000000002a 0000000000000001"
bytes fuzz_frame/type "0018 00000014 0142 0000 000000000000002a 0000000000000001"
bytes fuzz_frame/length "0018 ffffffff 0103 0000 000000000000002a 0000000000000001"
bytes fuzz_frame/short "000a 00000014 0103 0000 0000"

# --- fuzz_stream: limits, memory, seed (2), then orders: (n - 1) << 2 and n bytes, 01 and 3 bytes, 02 and 2 bytes, n << 2 | 3 ---

bytes fuzz_stream/short "30 40 0001" 03 07 ff 23
bytes fuzz_stream/long "34 00 0002" 0f 010186a0 17 010fffeb 01030d40 07
bytes fuzz_stream/chunks "28 0a 0003" 01000fd8 01000fd7 0100ffe8 0100ffe9 0100ffec 01001f40
bytes fuzz_stream/half "20 05 0004" 0f "1c 0000001401100000"
bytes fuzz_stream/version "20 05 0004" 0f "1c 0000001402100000"
bytes fuzz_stream/type "20 05 0004" 0f "1c 0000001401420000"
bytes fuzz_stream/length "21 05 0004" 0100ffec 0100ffed
bytes fuzz_stream/no_frames "2f 05 0005" 02ea60 0f 02ffff "08 616263"

# --- fuzz_rule: the words of a service, one a line ---

# rule NAME WORD...
rule()
{
	local file=fuzz_rule/$1
	shift
	printf '%s\n' "$@" > "$file"
}

rule game game udp 10.0.0.1:5000 xsr hash on 65536 1
rule quic quic udp '[::]:443' quic-lb:8 pass - - -
rule any any-4 udp 0.0.0.0:2152 gtpu,vxlan drop 16 0 0
rule wireguard wg udp '[2001:db8::1]:51820' wireguard,offset:0:1 hash off 0x100 0xffff
rule dtls dtls udp 192.0.2.1:5684 dtls-cid:4,geneve - - - -
rule place own udp 127.0.0.1:9 'offset:0x10:8:le:mask=0xffff:shift=8:match=0/4/0xdead0000/0xffff0000' - - - -
rule suffix tail udp 127.0.0.1:65535 suffix:4:4:match=0/1/0x47,suffix:8:2:le:shift=3,offset:2047:1:mask=1 - - - -
rule wrong a tcp localhost:0 'offset:4:9:be:le,nonsense' worker 1 -1 65536
rule mapped m udp '[::ffff:10.0.0.1]:1' xsr,xsr - - - -
rule gateway gw tcp 10.0.0.1:7000 xsr hash - 65536 1 epoll 1048576 one two
rule splice raw tcp '[2001:db8::1]:7001' none drop - - - splice - one
rule local here tcp 127.0.0.1:6379 none - - - - local -

# --- fuzz_frames: how much is there at a time, by fours, then frames ---

one_1="00000018 0110 0000 0000000000000001 0000000000000001 01020304"
one_2="00000014 0110 0000 0000000000000001 0000000000000002"
two_1="00000014 0111 0004 0000000000000002 0000000000000001"
bye="00000016 0105 0000 0000000000000001 0000000000000000 0001"
bytes fuzz_frames/run 40 "$one_1" "$one_2" "$one_2" "$two_1" "$two_1"
bytes fuzz_frames/control ff "$one_1" "$bye" "$bye" "$one_2"
bytes fuzz_frames/cut 03 "$one_1" "$two_1" "$one_1"
bytes fuzz_frames/bad_len ff "$one_1" "00000013 0110 0000 0000000000000001 0000000000000001"
bytes fuzz_frames/huge ff "$one_1" "ffffffff 0110 0000 0000000000000001 0000000000000001"
bytes fuzz_frames/version ff "$one_1" "00000014 0210 0000 0000000000000001 0000000000000001"
