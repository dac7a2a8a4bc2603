/* time_text.c: RFC 3339 text to milliseconds. Days from the civil date: Howard Hinnant, "chrono-Compatible Low-Level Date
 * Algorithms", days_from_civil. A leap second (:60) counts as the second after it, as POSIX time does. */
#include "api/http/json_in.h"

static bool digits(const char **at, const char *end, int count, int *out)
{
    int value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (*at == end || **at < '0' || **at > '9') return false;
        value = value * 10 + (**at - '0');
    }
    *out = value;
    return true;
}

static bool one(const char **at, const char *end, const char *choices)
{
    if (*at == end || !**at || !strchr(choices, **at)) return false;
    (*at)++;
    return true;
}

static int64_t days_from_civil(int year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static int days_of_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* Fraction after the point: milliseconds, further digits are cut. */
static bool fraction(const char **at, const char *end, int *ms)
{
    int scale = 100, count = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++, count++, scale /= 10) *ms += (**at - '0') * scale;
    return count > 0;
}

bool fr_time_parse(fr_span text, int64_t *ms_out)
{
    const char *at = text.data, *end = at + text.size;
    int year, month, day, hour, minute, second, ms = 0, zone_hour = 0, zone_minute = 0;
    if (!text.size) return false;
    if (!digits(&at, end, 4, &year) || !one(&at, end, "-") || !digits(&at, end, 2, &month) || !one(&at, end, "-")) return false;
    if (!digits(&at, end, 2, &day) || !one(&at, end, "Tt ") || !digits(&at, end, 2, &hour) || !one(&at, end, ":")) return false;
    if (!digits(&at, end, 2, &minute) || !one(&at, end, ":") || !digits(&at, end, 2, &second)) return false;
    if (one(&at, end, ".") && !fraction(&at, end, &ms)) return false;
    if (month < 1 || month > 12 || day < 1 || day > days_of_month(year, month)) return false;
    if (hour > 23 || minute > 59 || second > 60 || at == end) return false;
    int sign = *at == '-' ? -1 : 1;
    if (!one(&at, end, "Zz")) {
        if (!one(&at, end, "+-") || !digits(&at, end, 2, &zone_hour) || !one(&at, end, ":")) return false;
        if (!digits(&at, end, 2, &zone_minute) || zone_hour > 23 || zone_minute > 59) return false;
    }
    if (at != end) return false;
    int64_t seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
    seconds -= sign * (zone_hour * 3600 + zone_minute * 60);
    *ms_out = seconds * 1000 + ms;
    return true;
}
