using Stig.Model.Graphs;
using Stig.Model.Operations;

namespace Stig.SelfTest.Oracles;

/// <summary>Normalisation with statistics of the data, with given ones, and their running means.</summary>
internal static class NormalizationOracles
{
    /// <summary>Result, mean and biased variance; gamma and beta may be missing.</summary>
    public static Tensor[] Normalization(
        Tensor src, Tensor? gamma, Tensor? beta, NormalizationStatistics statistics, double epsilon, double slope)
    {
        bool perImage = statistics == NormalizationStatistics.PerImage;
        int groups = perImage ? src.N : 1;
        var dst = new Tensor(src.Shape);
        var means = new Tensor(new Shape(groups, src.C));
        var variances = new Tensor(new Shape(groups, src.C));
        for (int group = 0; group < groups; group++)
        {
            int first = perImage ? group : 0;
            int last = perImage ? group : src.N - 1;
            double count = (last - first + 1.0) * src.H * src.W;
            for (int c = 0; c < src.C; c++)
            {
                double mean = Sum(src, first, last, c, value => value) / count;
                double variance = Sum(src, first, last, c, value => (value - mean) * (value - mean)) / count;
                means[group, c] = mean;
                variances[group, c] = variance;
                for (int n = first; n <= last; n++)
                {
                    Apply(src, dst, n, c, mean, variance, gamma?[0, c] ?? 1, beta?[0, c] ?? 0, epsilon, slope);
                }
            }
        }

        return [dst, means, variances];
    }

    public static Tensor RunningNormalization(
        Tensor src, Tensor gamma, Tensor beta, Tensor mean, Tensor variance, double epsilon, double slope)
    {
        var dst = new Tensor(src.Shape);
        for (int n = 0; n < src.N; n++)
        {
            for (int c = 0; c < src.C; c++)
            {
                Apply(src, dst, n, c, mean[0, c], variance[0, c], gamma[0, c], beta[0, c], epsilon, slope);
            }
        }

        return dst;
    }

    /// <summary>New running mean and variance from rows of statistics, each over count values.</summary>
    public static Tensor[] RunningStatistics(
        Tensor mean, Tensor variance, Tensor runningMean, Tensor runningVariance, double count, double momentum)
    {
        var newMean = new Tensor(runningMean.Shape);
        var newVariance = new Tensor(runningVariance.Shape);
        for (int c = 0; c < mean.C; c++)
        {
            double meanOfMeans = 0;
            double meanOfVariances = 0;
            for (int g = 0; g < mean.N; g++)
            {
                meanOfMeans += mean[g, c] / mean.N;
                meanOfVariances += variance[g, c] / mean.N;
            }

            newMean[0, c] = ((1 - momentum) * runningMean[0, c]) + (momentum * meanOfMeans);
            newVariance[0, c] = ((1 - momentum) * runningVariance[0, c]) + (momentum * meanOfVariances * count / (count - 1));
        }

        return [newMean, newVariance];
    }

    private static void Apply(
        Tensor src, Tensor dst, int n, int c, double mean, double variance, double gamma, double beta, double epsilon, double slope)
    {
        for (int y = 0; y < src.H; y++)
        {
            for (int x = 0; x < src.W; x++)
            {
                double value = ((src[n, c, y, x] - mean) / Math.Sqrt(variance + epsilon) * gamma) + beta;
                dst[n, c, y, x] = value > 0 ? value : slope * value;
            }
        }
    }

    private static double Sum(Tensor src, int first, int last, int c, Func<double, double> term)
    {
        double sum = 0;
        for (int n = first; n <= last; n++)
        {
            for (int y = 0; y < src.H; y++)
            {
                for (int x = 0; x < src.W; x++)
                {
                    sum += term(src[n, c, y, x]);
                }
            }
        }

        return sum;
    }
}
