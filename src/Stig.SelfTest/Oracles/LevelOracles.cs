using Stig.Model.Graphs;

namespace Stig.SelfTest.Oracles;

/// <summary>Levels by their definition: the weight of every frequency at every node, in double.</summary>
internal static class LevelOracles
{
    public static Tensor Levels(Tensor spectrum, int grid)
    {
        var levels = new Tensor(new Shape(spectrum.N, spectrum.C, grid, grid));
        Each(levels, (n, c, i, j) =>
        {
            double sum = 0;
            double total = 0;
            for (int y = 0; y < spectrum.H; y++)
            {
                for (int x = 0; x < spectrum.W; x++)
                {
                    double weight = Weight(y, spectrum.H, i, grid) * Weight(x, spectrum.W, j, grid);
                    sum += weight * spectrum[n, c, y, x];
                    total += weight;
                }
            }

            levels[n, c, i, j] = sum / total;
        });
        return levels;
    }

    public static Tensor Spread(Tensor levels, int height, int width, double radius)
    {
        var spectrum = new Tensor(new Shape(levels.N, levels.C, height, width));
        Each(spectrum, (n, c, y, x) =>
        {
            double sum = 0;
            for (int i = 0; i < levels.H; i++)
            {
                for (int j = 0; j < levels.W; j++)
                {
                    sum += Weight(y, height, i, levels.H) * Weight(x, width, j, levels.W) * levels[n, c, i, j];
                }
            }

            spectrum[n, c, y, x] = Math.Sqrt(Math.Pow(y - (height / 2), 2) + Math.Pow(x - (width / 2), 2)) <= radius ? 0 : sum;
        });
        return spectrum;
    }

    /// <summary>Levels of a spectrum that is constant but for a zero at zero frequency, where radius 0 protects one value.</summary>
    public static Tensor WithoutZeroFrequency(double constant, int grid, int height, int width)
    {
        var spectrum = new Tensor(new Shape(1, 3, height, width)).Map(_ => constant);
        Each(spectrum, (n, c, y, x) => spectrum[n, c, y, x] = (y, x) == (height / 2, width / 2) ? 0 : constant);
        return Levels(spectrum, grid);
    }

    // The hat function of node k at the normalised frequency of an index; the outer nodes reach to the ends.
    private static double Weight(int index, int extent, int node, int nodes)
    {
        double position = (Math.Abs(index - (extent / 2)) / (extent / 2.0) * nodes) - 0.5;
        position = Math.Clamp(position, 0, nodes - 1);
        return Math.Max(0, 1 - Math.Abs(position - node));
    }

    private static void Each(Tensor tensor, Action<int, int, int, int> body)
    {
        for (int n = 0; n < tensor.N; n++)
        {
            for (int c = 0; c < tensor.C; c++)
            {
                for (int y = 0; y < tensor.H; y++)
                {
                    for (int x = 0; x < tensor.W; x++)
                    {
                        body(n, c, y, x);
                    }
                }
            }
        }
    }
}
