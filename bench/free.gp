# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
#
# Draws free.dat: the caller's time for an object, by way of freeing. Wants `directory` and
# `machine`.
set terminal svg size 900,480 font "sans,13" background "white"
set output directory . "/free.svg"
set title "Freeing a cold object: the caller's time\n{/*0.8 " . machine . "}"
set ylabel "ns: median, least, most"
set logscale y
set yrange [1:]
set grid y
set key outside top right horizontal
set rmargin 10 # for the last name
set style data histograms
set style histogram errorbars gap 1.5 linewidth 1
set style fill solid 0.8 border
set xtics rotate by -30 noenhanced
plot directory . "/free.dat" using 2:3:4:xtic(1) title "in order" linecolor rgb "#1f77b4", \
	"" using 5:6:7 title "random" linecolor rgb "#ff7f0e"
