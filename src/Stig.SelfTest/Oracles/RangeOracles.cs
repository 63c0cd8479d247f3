using Stig.Model.Graphs;

namespace Stig.SelfTest.Oracles;

/// <summary>Scaling by minimum and maximum, and back.</summary>
internal static class RangeOracles
{
    /// <summary>Scaled tensor, minima, maxima.</summary>
    public static Tensor[] Normalize(Tensor src, bool perImage, double scale, double offset)
    {
        int groups = perImage ? src.N : 1;
        int length = src.Values.Length / groups;
        var dst = new Tensor(src.Shape);
        var lows = new Tensor(new Shape(groups, 1));
        var highs = new Tensor(new Shape(groups, 1));
        for (int group = 0; group < groups; group++)
        {
            double low = double.PositiveInfinity;
            double high = double.NegativeInfinity;
            for (int i = group * length; i < (group + 1) * length; i++)
            {
                low = Math.Min(low, src.Values[i]);
                high = Math.Max(high, src.Values[i]);
            }

            lows.Values[group] = low;
            highs.Values[group] = high;
            for (int i = group * length; i < (group + 1) * length; i++)
            {
                dst.Values[i] = high == low ? offset : (scale * (src.Values[i] - low) / (high - low)) + offset;
            }
        }

        return [dst, lows, highs];
    }

    /// <summary>
    /// Gradient of <see cref="Normalize"/> with minima and maxima given: each extreme's gradient is shared equally by the elements that
    /// attain it.
    /// </summary>
    public static Tensor NormalizeBackward(Tensor src, Tensor lows, Tensor highs, Tensor gradient, double scale)
    {
        int groups = lows.Values.Length;
        int length = src.Values.Length / groups;
        var result = new Tensor(src.Shape);
        for (int group = 0; group < groups; group++)
        {
            double low = lows.Values[group];
            double high = highs.Values[group];
            if (low == high)
            {
                continue;
            }

            double range = high - low;
            double lowGradient = 0;
            double highGradient = 0;
            int lowCount = 0;
            int highCount = 0;
            for (int i = group * length; i < (group + 1) * length; i++)
            {
                double x = src.Values[i];
                lowGradient += gradient.Values[i] * scale * (x - high) / (range * range);
                highGradient -= gradient.Values[i] * scale * (x - low) / (range * range);
                lowCount += x == low ? 1 : 0;
                highCount += x == high ? 1 : 0;
            }

            for (int i = group * length; i < (group + 1) * length; i++)
            {
                double x = src.Values[i];
                result.Values[i] = (gradient.Values[i] * scale / range)
                    + (x == low ? lowGradient / lowCount : 0) + (x == high ? highGradient / highCount : 0);
            }
        }

        return result;
    }

    public static Tensor Denormalize(Tensor src, Tensor lows, Tensor highs, double scale, double offset)
    {
        int length = src.Values.Length / lows.Values.Length;
        var dst = new Tensor(src.Shape);
        for (int i = 0; i < src.Values.Length; i++)
        {
            double low = lows.Values[i / length];
            double high = highs.Values[i / length];
            dst.Values[i] = ((src.Values[i] - offset) / scale * (high - low)) + low;
        }

        return dst;
    }
}
