#!/bin/sh
# Makes the elementary streams beside it, each a few hundred bytes to a few kilobytes, with ffmpeg (5.1, x264
# and x265 within). What differs between versions of the encoders does not matter to the tests.
set -eu
cd "$(dirname "$0")"

run() { ffmpeg -nostdin -hide_banner -loglevel error -y "$@"; }
flat() { echo "color=c=gray:size=$1:rate=$2"; }
tone='sine=frequency=440:sample_rate=48000'

x264() { # name, size, rate, frames, options...
    name=$1 size=$2 rate=$3 frames=$4
    shift 4
    run -f lavfi -i "$(flat "$size" "$rate")" -frames:v "$frames" -pix_fmt yuv420p -c:v libx264 "$@" -f h264 "$name.h264"
}
x264 closed 66x50 30000/1001 6 -profile:v high -level 3.1 -x264-params aud=1:keyint=3:min-keyint=3:bframes=0:scenecut=0
x264 open 64x64 25 12 -x264-params aud=1:keyint=4:min-keyint=4:bframes=2:b-adapt=0:open-gop=1:scenecut=0
x264 refresh 64x64 25 12 -profile:v main -x264-params aud=1:keyint=6:intra-refresh=1:bframes=0:scenecut=0
x264 interlaced 64x64 25 2 -flags +ildct+ilme -x264-params aud=1:tff=1

x265() { # name, size, rate, frames, parameters
    run -f lavfi -i "$(flat "$2" "$3")" -frames:v "$4" -pix_fmt yuv420p -c:v libx265 \
        -x265-params "log-level=none:info=0:aud=1:repeat-headers=1:b-adapt=0:scenecut=0:$5" -f hevc "$1.hevc"
}
x265 closed 66x50 30000/1001 6 keyint=3:min-keyint=3:bframes=0:open-gop=0
x265 open 64x64 25 12 keyint=4:min-keyint=4:bframes=2:open-gop=1

run -f lavfi -i "$(flat 64x48 30000/1001)" -frames:v 6 -c:v mpeg2video -g 3 -bf 0 -flags +cgop -sc_threshold 1000000000 closed.m2v
run -f lavfi -i "$(flat 64x48 25)" -frames:v 8 -c:v mpeg2video -g 4 -bf 2 -flags +ildct+ilme open.m2v
run -f lavfi -i "$(flat 64x48 24)" -frames:v 2 -c:v mpeg1video one.m1v

sound() { # file, seconds, options...
    file=$1 seconds=$2
    shift 2
    run -f lavfi -i "$tone" -t "$seconds" "$@" "$file"
}
sound stereo.aac 0.08 -ac 2 -c:a aac -b:a 32k -f adts
sound stereo.latm 0.6 -ac 2 -c:a aac -b:a 16k -f latm
sound stereo.mp3 0.08 -ac 2 -c:a libmp3lame -b:a 64k -write_xing 0 -id3v2_version 0 -f mp3
sound mono.mp3 0.15 -ac 1 -ar 22050 -c:a libmp3lame -b:a 16k -write_xing 0 -id3v2_version 0 -f mp3
sound stereo.mp2 0.08 -ac 2 -c:a mp2 -b:a 64k -f mp2
sound surround.ac3 0.07 -ac 6 -c:a ac3 -b:a 96k -f ac3
sound stereo.ac3 0.07 -ac 2 -ar 44100 -c:a ac3 -b:a 64k -f ac3
sound surround.eac3 0.07 -ac 6 -c:a eac3 -b:a 96k -f eac3
