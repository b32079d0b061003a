# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# Draws cliff.dat: the exit's time, and the caller's time for an object, by the size of what exits.
# Wants `directory` and `machine`.
set terminal svg size 900,760 font "sans,13" background "white"
set output directory . "/cliff.svg"
data = directory . "/cliff.dat"
colors = "#7f7f7f #d62728 #ff7f0e #1f77b4 #2ca02c #9467bd"
set multiplot layout 2,1 title "A process exits: the caller's time\n{/*0.8 " . machine . "}"
set logscale xy
set xtics ("64 MiB" 64, "256 MiB" 256, "1 GiB" 1024, "4 GiB" 4096, "16 GiB" 16384)
set xrange [50:21000]
set grid xtics ytics
set lmargin 10
set rmargin 30
set key at screen 0.99, 0.9 right top noenhanced
set ylabel "exit, ms"
plot for [i=0:5] data index i using 1:2 with linespoints title columnheader(1) \
	linewidth 2 pointtype i + 4 linecolor rgb word(colors, i + 1)
unset key
set ylabel "ns for an object: median, least, most"
set xlabel "uncompressed size of what exits"
plot for [i=0:5] data index i using 1:3:4:5 with yerrorlines \
	linewidth 2 pointtype i + 4 linecolor rgb word(colors, i + 1)
unset multiplot
