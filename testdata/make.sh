#!/usr/bin/env bash
# Makes the test media: small transport streams, each of which is one thing that a source may be.
#
#   testdata/make.sh [OUTDIR]        default: testdata/media, which git ignores
#
# A second run makes only what is missing. If this script, mangle.py or ffmpeg have become others, all is made
# again. The same ffmpeg makes the same bytes: one thread, bit-exact muxing, fixed seeds.
set -euo pipefail

here=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
out=${1:-$here/media}
mkdir -p -- "$out"
out=$(cd -- "$out" && pwd)

for tool in ffmpeg ffprobe python3; do
    command -v "$tool" >/dev/null || {
        echo "testdata/make.sh: $tool is missing; on Debian or Ubuntu: apt-get install ffmpeg python3" >&2
        exit 1
    }
done

# Another script or another ffmpeg makes other files: then what is there does not count.
made_by=$(cat -- "$here/make.sh" "$here/mangle.py" <(ffmpeg -version | head -n 1) | sha256sum | cut -d ' ' -f 1)
is_fresh=no
[[ -f $out/.made-by && $(<"$out/.made-by") == "$made_by" ]] && is_fresh=yes

names=()
abouts=()
made=0

# wanted NAME ABOUT: whether the file is still to be made; puts it into the table.
wanted() {
    names+=("$1")
    abouts+=("$2")
    [[ $is_fresh == no || ! -s $out/$1 ]]
}

# file NAME ABOUT COMMAND...: makes a file by a command that takes the output's path as its last argument.
file() {
    local name=$1 about=$2
    shift 2
    wanted "$name" "$about" || return 0
    # The ending stays last, for ffmpeg chooses nothing by it here but people do.
    local part=$out/.part-$name
    "$@" "$part"
    mv -f -- "$part" "$out/$name"
    made=$((made + 1))
}

quiet=(ffmpeg -hide_banner -nostdin -loglevel error -y)
exact=(-fflags +bitexact -flags +bitexact -map_metadata -1)
ts=("${exact[@]}" -f mpegts)
picture=(-f lavfi -i "testsrc2=size=320x180:rate=25")
tone=(-f lavfi -i "sine=frequency=440:sample_rate=48000")
aac=(-c:a aac -b:a 48k -ac 2)

# x264 PARAMS: the options of a one-thread x264 with PARAMS; a random access point every second if PARAMS do
# not say otherwise. Left in ${x264[@]}.
x264() {
    x264=(-c:v libx264 -preset veryfast -crf 33 -pix_fmt yuv420p -threads 1
        -x264-params "threads=1:keyint=25:min-keyint=25:scenecut=0:bframes=3:$1")
}
x265() {
    x265=(-c:v libx265 -preset superfast -crf 34 -pix_fmt yuv420p -threads 1
        -x265-params "log-level=error:pools=1:frame-threads=1:keyint=25:min-keyint=25:scenecut=0:bframes=3:$1")
}
mangle() { python3 "$here/mangle.py" "$@"; }
# joined PIECE... OUT: one file behind the other, as a source does that was cut over.
joined() { cat -- "${@:1:$#-1}" >"${*: -1}"; }

# encoded SECONDS CODEC_OPTIONS...: pattern and tone. The last argument is the output.
encoded() {
    "${quiet[@]}" "${picture[@]}" "${tone[@]}" -t "$1" "${@:2:$#-2}" "${ts[@]}" "${@: -1}"
}

# --- video codings -----------------------------------------------------------------------------------------
x264 ref=2
file h264-aac.ts "H.264 with B-frames, closed GOP of 1 s; AAC" encoded 12 "${x264[@]}" "${aac[@]}"
x264 open-gop=1
file h264-open-gop.ts "H.264, open GOP: recovery points after the first IDR" encoded 12 "${x264[@]}" "${aac[@]}"
file h264-no-aud.ts "H.264 without access unit delimiters" mangle strip-aud "$out/h264-aac.ts"
x264 interlaced=1:tff=1
file h264-interlaced.ts "H.264, interlaced, top field first" \
    encoded 6 -vf "fps=50,tinterlace=mode=interleave_top,fieldorder=tff" -flags +ildct+ilme "${x264[@]}" "${aac[@]}"
x264 intra-refresh=1:bframes=0
file h264-intra-refresh.ts "H.264, intra refresh: gradual recovery points, one IDR" encoded 12 "${x264[@]}" "${aac[@]}"
x264 keyint=infinite
file h264-long-gop.ts "H.264, one random access point in 12 s" encoded 12 "${x264[@]}" "${aac[@]}"
x264 keyint=infinite:min-keyint=1
file h264-irregular-gop.ts "H.264, random access points at 0 1.2 3.8 4 4.2 7.6 10 s" \
    encoded 12 "${x264[@]}" -force_key_frames 0,1.2,3.8,4,4.2,7.6,10 "${aac[@]}"
x264 keyint=30:min-keyint=30
file h264-ntsc.ts "H.264, 30000/1001 frames a second" \
    encoded 6 -vf fps=30000/1001 "${x264[@]}" "${aac[@]}"
x265 open-gop=0
file hevc-aac.ts "HEVC, closed GOP" encoded 12 "${x265[@]}" "${aac[@]}"
# Five pictures from one reference to the next, so that four B-pictures lead each CRA.
x265 open-gop=1:bframes=4
file hevc-open-gop.ts "HEVC, open GOP: CRA with leading pictures" encoded 12 "${x265[@]}" "${aac[@]}"
mpeg2=(-c:v mpeg2video -threads 1 -q:v 20 -bf 2 -sc_threshold 1000000000)
file mpeg2-mp2.ts "MPEG-2 video, closed GOP; MP2" \
    encoded 6 "${mpeg2[@]}" -g 12 -flags +cgop -c:a mp2 -b:a 64k
file mpeg2-open-gop.ts "MPEG-2 video, open GOP; MP2" encoded 6 "${mpeg2[@]}" -g 12 -c:a mp2 -b:a 64k

# --- audio codings -----------------------------------------------------------------------------------------
x264 ref=1
file h264-mp3.ts "MP3" encoded 6 "${x264[@]}" -c:a libmp3lame -b:a 64k
file h264-ac3.ts "AC-3" encoded 6 "${x264[@]}" -c:a ac3 -b:a 96k -ac 2
file h264-eac3.ts "E-AC-3" encoded 6 "${x264[@]}" -c:a eac3 -b:a 96k -ac 2
file h264-opus.ts "Opus" encoded 6 "${x264[@]}" -c:a libopus -b:a 48k
file h264-latm.ts "AAC in LATM" encoded 6 "${x264[@]}" "${aac[@]}" -mpegts_flags latm
file audio-only.ts "AAC, no video" "${quiet[@]}" "${tone[@]}" -t 12 "${aac[@]}" "${ts[@]}"
file video-only.ts "H.264, no audio" "${quiet[@]}" "${picture[@]}" -t 6 "${x264[@]}" "${ts[@]}"

# --- multiplexes -------------------------------------------------------------------------------------------
copied() { "${quiet[@]}" -i "$1" -map 0 -c copy "${@:2:$#-2}" "${ts[@]}" "${@: -1}"; }
x264 ref=2
# 5 s before 2^33 ticks of 90 kHz, which is 95443.717 s.
file wrap.ts "timestamps wrap 5 s in" copied "$out/h264-aac.ts" -output_ts_offset 95438.7
two_programs=("${quiet[@]}" "${picture[@]}" "${tone[@]}"
    -f lavfi -i "smptebars=size=160x90:rate=25" -f lavfi -i "sine=frequency=880:sample_rate=48000" -t 6
    -map 0:v -map 1:a -map 2:v -map 3:a "${x264[@]}" "${aac[@]}"
    -program program_num=1:title=one:st=0:st=1 -program program_num=2:title=two:st=2:st=3 "${ts[@]}")
file two-programs.ts "two programs, each H.264 and AAC" "${two_programs[@]}"
twenty=()
for _ in {1..20}; do twenty+=(-map "1:a"); done
file many-streams.ts "20 audio streams: a PMT of several packets" \
    encoded 2 -map 0:v "${twenty[@]}" "${x264[@]}" -c:a mp2 -b:a 32k -ac 1 -metadata:s:a language=eng
file constant-rate.ts "constant rate: stuffing, PCR in packets without payload" copied "$out/h264-mp3.ts" -muxrate 700k
file h264-aac.m2ts "192-byte packets (m2ts)" copied "$out/h264-aac.ts" -mpegts_m2ts_mode 1
file h264-aac-204.ts "204-byte packets" mangle packets-204 "$out/h264-aac.ts"
file id3-scte35.ts "timed ID3 every second, a SCTE-35 splice_insert every 3 s" mangle add-data "$out/h264-aac.ts"

# --- breaks ------------------------------------------------------------------------------------------------
pieces=$(mktemp -d)
trap 'rm -rf -- "$pieces"' EXIT
# piece NAME ENCODED_FILE OPTIONS...: four seconds for the joined files below, made only when one of these is.
piece() { copied "$2" -t 4 "${@:3}" "$pieces/$1"; }
if [[ $is_fresh == no || ! -s $out/jump-forward.ts || ! -s $out/jump-back.ts || ! -s $out/pmt-change.ts ||
    ! -s $out/size-change.ts ]]; then
    piece early.ts "$out/h264-aac.ts"
    piece late.ts "$out/h264-aac.ts" -output_ts_offset 1000
    piece next-mp3.ts "$out/h264-mp3.ts" -output_ts_offset 4 -tables_version 1
    "${quiet[@]}" -f lavfi -i "testsrc2=size=480x270:rate=25" "${tone[@]}" -t 4 "${x264[@]}" "${aac[@]}" \
        -output_ts_offset 4 "${ts[@]}" "$pieces/next-larger.ts"
fi
file jump-forward.ts "timestamps jump 1000 s forwards after 4 s" joined "$pieces/early.ts" "$pieces/late.ts"
file jump-back.ts "timestamps jump 1000 s backwards after 4 s" joined "$pieces/late.ts" "$pieces/early.ts"
file pmt-change.ts "AAC becomes MP3 after 4 s, PMT version 1" joined "$pieces/early.ts" "$pieces/next-mp3.ts"
file size-change.ts "320x180 becomes 480x270 after 4 s" joined "$pieces/early.ts" "$pieces/next-larger.ts"

# --- damage ------------------------------------------------------------------------------------------------
file lost-packets.ts "one packet in 200 is missing" mangle drop "$out/h264-aac.ts"
file corrupt-packets.ts "one packet in 200 has wrong bytes" mangle corrupt "$out/h264-aac.ts"
file duplicates.ts "one packet in 20 comes twice (ffmpeg decodes both)" mangle duplicate "$out/h264-aac.ts"
file garbage.ts "garbage before, between and behind the packets" mangle garbage "$out/h264-aac.ts"
file scrambled.ts "audio is marked as scrambled" mangle scramble "$out/h264-mp3.ts"
file truncated.ts "ends in mid-packet" mangle truncate "$out/h264-mp3.ts"
file not-a-ts.mp4 "an MP4" "${quiet[@]}" -i "$out/h264-mp3.ts" -map 0 -c copy "${exact[@]}" -f mp4

# --- table -------------------------------------------------------------------------------------------------
table() {
    printf '%-24s %8s %8s  %s\n' file bytes seconds "what it is"
    local i size seconds total=0
    for i in "${!names[@]}"; do
        size=$(wc -c <"$out/${names[i]}")
        total=$((total + size))
        seconds=$(ffprobe -v quiet -show_entries format=duration -of csv=p=0 "$out/${names[i]}" || true)
        printf '%-24s %8d %8.2f  %s\n' "${names[i]}" "$size" "${seconds:-0}" "${abouts[i]}"
    done
    printf '%-24s %8d\n' "${#names[@]} files" "$total"
}
if [[ $made -gt 0 || ! -s $out/.table ]]; then
    table >"$out/.table"
    echo "$made_by" >"$out/.made-by"
fi
cat -- "$out/.table"
