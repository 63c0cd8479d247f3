using Stig.Model.Graphs;
using Stig.Model.Randomness;

namespace Stig.Model.Networks;

/// <summary>How a parameter starts.</summary>
internal enum Initializer
{
    Zero,
    One,

    /// <summary>Normal with mean 0 and standard deviation 0.02.</summary>
    Normal002,

    /// <summary>Normal with mean 1 and standard deviation 0.02.</summary>
    NormalAroundOne,

    /// <summary>Uniform in +-1/sqrt(fan-in), PyTorch's default for linear layers.</summary>
    UniformFanIn,
}

/// <summary>One tensor of a network.</summary>
/// <param name="Name">PyTorch's state-dict name with the network's prefix, "generator.conv0_0.conv1.weight".</param>
/// <param name="Shape">Extents in PyTorch's order.</param>
/// <param name="Initializer">How it starts.</param>
/// <param name="FanIn">Inputs of one output, for <see cref="Initializer.UniformFanIn"/>.</param>
/// <param name="Trained">Whether the optimizer updates it (false for running statistics).</param>
internal sealed record ParameterSpec(string Name, Shape Shape, Initializer Initializer, int FanIn = 1, bool Trained = true)
{
    /// <summary>Start values: a function of seed and name alone, so that they do not depend on the order of creation.</summary>
    public float[] Initialize(ulong seed)
    {
        float[] values = new float[Shape.Count];
        var random = new CounterRandom(seed, Name);
        switch (Initializer)
        {
            case Initializer.One:
                Array.Fill(values, 1f);
                break;
            case Initializer.Normal002 or Initializer.NormalAroundOne:
                double mean = Initializer == Initializer.Normal002 ? 0 : 1;
                for (int i = 0; i < values.Length; i++)
                {
                    values[i] = (float)(mean + (0.02 * random.Normal(i)));
                }

                break;
            case Initializer.UniformFanIn:
                double bound = 1 / Math.Sqrt(FanIn);
                for (int i = 0; i < values.Length; i++)
                {
                    values[i] = (float)(((2 * random.Uniform(i)) - 1) * bound);
                }

                break;
            default:
                break;
        }

        return values;
    }
}
