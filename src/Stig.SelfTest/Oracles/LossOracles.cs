using Stig.Model.Graphs;

namespace Stig.SelfTest.Oracles;

/// <summary>Scalar losses.</summary>
internal static class LossOracles
{
    public static double MeanSquaredError(Tensor src, double target)
    {
        double sum = 0;
        foreach (double value in src.Values)
        {
            sum += (value - target) * (value - target);
        }

        return sum / src.Values.Length;
    }

    /// <summary>Mean over rows of ln(sum_j exp(z_j)) - z_label, with the largest logit taken out of the exponentials.</summary>
    public static double CrossEntropy(Tensor logits, Tensor labels)
    {
        double loss = 0;
        for (int row = 0; row < logits.N; row++)
        {
            double largest = double.NegativeInfinity;
            for (int k = 0; k < logits.C; k++)
            {
                largest = Math.Max(largest, logits[row, k]);
            }

            double sum = 0;
            for (int k = 0; k < logits.C; k++)
            {
                sum += Math.Exp(logits[row, k] - largest);
            }

            loss += (Math.Log(sum) + largest - logits[row, (int)labels.Values[row]]) / logits.N;
        }

        return loss;
    }

    public static double LowFrequencyDistance(Tensor a, Tensor b, int radius)
    {
        double sum = 0;
        for (int n = 0; n < a.N; n++)
        {
            for (int c = 0; c < a.C; c++)
            {
                for (int y = (a.H / 2) - radius; y < (a.H / 2) + radius; y++)
                {
                    for (int x = (a.W / 2) - radius; x < (a.W / 2) + radius; x++)
                    {
                        double difference = a[n, c, y, x] - b[n, c, y, x];
                        sum += difference * difference;
                    }
                }
            }
        }

        return Math.Sqrt(sum / (a.N * a.C * 4.0 * radius * radius));
    }

    /// <summary>Mean over all pixels of the similarity under a Gaussian window of 35 x 35 pixels, sigma 1.5, zeros outside
    /// the image.</summary>
    public static double StructuralSimilarity(Tensor a, Tensor b)
    {
        const double c1 = 0.01 * 0.01;
        const double c2 = 0.03 * 0.03;
        Tensor meanA = Blur(a);
        Tensor meanB = Blur(b);
        Tensor squareA = Blur(ElementwiseOracles.Combine(a, a, (x, y) => x * y));
        Tensor squareB = Blur(ElementwiseOracles.Combine(b, b, (x, y) => x * y));
        Tensor product = Blur(ElementwiseOracles.Combine(a, b, (x, y) => x * y));
        double sum = 0;
        for (int i = 0; i < a.Values.Length; i++)
        {
            double ma = meanA.Values[i];
            double mb = meanB.Values[i];
            double varianceA = squareA.Values[i] - (ma * ma);
            double varianceB = squareB.Values[i] - (mb * mb);
            double covariance = product.Values[i] - (ma * mb);
            sum += ((2 * ma * mb) + c1) * ((2 * covariance) + c2) / (((ma * ma) + (mb * mb) + c1) * (varianceA + varianceB + c2));
        }

        return sum / a.Values.Length;
    }

    // The window is the product of a row and a column, each of sum 1.
    private static Tensor Blur(Tensor src)
    {
        const int radius = 17;
        double[] window = new double[(2 * radius) + 1];
        for (int t = -radius; t <= radius; t++)
        {
            window[t + radius] = Math.Exp(-t * t / (2 * 1.5 * 1.5));
        }

        double total = window.Sum();
        var rows = new Tensor(src.Shape);
        var result = new Tensor(src.Shape);
        for (int n = 0; n < src.N; n++)
        {
            for (int c = 0; c < src.C; c++)
            {
                for (int y = 0; y < src.H; y++)
                {
                    for (int x = 0; x < src.W; x++)
                    {
                        for (int t = Math.Max(-radius, -x); t <= Math.Min(radius, src.W - 1 - x); t++)
                        {
                            rows[n, c, y, x] += window[t + radius] / total * src[n, c, y, x + t];
                        }
                    }
                }

                for (int y = 0; y < src.H; y++)
                {
                    for (int x = 0; x < src.W; x++)
                    {
                        for (int t = Math.Max(-radius, -y); t <= Math.Min(radius, src.H - 1 - y); t++)
                        {
                            result[n, c, y, x] += window[t + radius] / total * rows[n, c, y + t, x];
                        }
                    }
                }
            }
        }

        return result;
    }
}
