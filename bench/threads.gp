# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# Draws threads.dat: ms until the last of several exiting threads is done, by way of freeing. Wants
# `directory` and `machine`.
set terminal svg size 900,480 font "sans,13" background "white"
set output directory . "/threads.svg"
set title "Threads exit at once, with objects of one pool\n{/*0.8 " . machine . "}"
set ylabel "ms until the last is done: median, least, most"
set yrange [0:]
set grid y
set key outside top right horizontal
set datafile missing "-"
set style data histograms
set style histogram errorbars gap 1.5 linewidth 1
set style fill solid 0.8 border
set xtics noenhanced
plot directory . "/threads.dat" using 2:3:4:xtic(1) title "1 thread", \
	"" using 5:6:7 title "2 threads", "" using 8:9:10 title "4 threads"
