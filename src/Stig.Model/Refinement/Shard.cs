using System.Globalization;
using System.Text;

namespace Stig.Model.Refinement;

/// <summary>
/// One of a number of parts of the inputs. Which part an input belongs to follows from its name alone, so that parts are disjoint and
/// together everything, in whatever order and wherever inputs are listed.
/// </summary>
/// <param name="Index">Which part, 0..<paramref name="Count"/> - 1.</param>
/// <param name="Count">Number of parts, at least 1.</param>
public readonly record struct Shard(int Index, int Count)
{
    /// <summary>Everything.</summary>
    public static Shard Whole { get; } = new(0, 1);

    /// <summary>Name of the part in file names: "3-of-8"; empty for the whole.</summary>
    public string Name => Count == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $"{Index}-of-{Count}");

    /// <summary>Reads "i/n". Parts may be counted from 0 or from 1: n/n is 0/n.</summary>
    /// <param name="text">For example "3/8".</param>
    /// <param name="shard">The part.</param>
    public static bool TryParse(string text, out Shard shard)
    {
        ArgumentNullException.ThrowIfNull(text);
        shard = Whole;
        string[] parts = text.Split('/');
        if (parts.Length != 2
            || !int.TryParse(parts[0], NumberStyles.None, CultureInfo.InvariantCulture, out int index)
            || !int.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out int count)
            || count < 1 || index > count)
        {
            return false;
        }

        shard = new Shard(index % count, count);
        return true;
    }

    /// <summary>
    /// The part that a scheduler gave to this process: a Slurm array task, the pod of a Kubernetes indexed job (which needs
    /// <c>STIG_SHARD_COUNT</c> beside <c>JOB_COMPLETION_INDEX</c>, as Kubernetes does not tell the number), or a rank of Open MPI.
    /// </summary>
    /// <param name="variable">Gives the value of an environment variable, or null.</param>
    /// <param name="problem">What is missing and what to do; empty when the part is known.</param>
    /// <returns>The part, or null.</returns>
    public static Shard? OfScheduler(Func<string, string?> variable, out string problem)
    {
        ArgumentNullException.ThrowIfNull(variable);
        (string Index, string Count, string? First, string? Step)[] schedulers =
        [
            ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP"),
            ("JOB_COMPLETION_INDEX", "STIG_SHARD_COUNT", null, null),
            ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", null, null),
        ];
        foreach ((string indexName, string countName, string? firstName, string? stepName) in schedulers)
        {
            if (variable(indexName) is null)
            {
                continue;
            }

            string? wrong = null;
            long index = Read(indexName, 0), count = Read(countName, 1), first = Read(firstName, 0, 0), step = Read(stepName, 1, 1);
            if (wrong is not null)
            {
                problem = wrong;
                return null;
            }

            // An array like 1,5,6 has gaps that neither first nor step explain.
            if ((index - first) % step != 0 || (index - first) / step is < 0 || (index - first) / step >= count)
            {
                problem = $"Task {index} is not one of {count} evenly spaced ones ({indexName}, {countName}). Use an array such as 0-{count - 1}, "
                    + "or give --shard i/n.";
                return null;
            }

            problem = "";
            return new Shard((int)((index - first) / step), (int)count);

            // A variable's value; of one that is not set, what it stands for then, if anything. The first one that is wrong is named.
            long Read(string? name, long least, long? otherwise = null)
            {
                string? text = name is null ? null : variable(name);
                if (text is null && otherwise is long value)
                {
                    return value;
                }

                if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= least)
                {
                    return number;
                }

                wrong ??= $"{name} is {(text is null ? "not set" : $"\"{text}\"")}; it must be a whole number of at least {least}. "
                    + "Set it, or give --shard i/n.";
                return 0;
            }
        }

        problem = "--shard auto found none of SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX and OMPI_COMM_WORLD_RANK. Give --shard i/n.";
        return null;
    }

    /// <summary>Whether an input belongs to this part.</summary>
    /// <param name="name">Its name.</param>
    public bool Holds(string name) => Count == 1 || (int)(StableHash.Of(name) % (ulong)Count) == Index;
}

/// <summary>A hash of names that is the same on every machine and in every version: FNV-1a over UTF-8, then the finaliser of MurmurHash3.</summary>
internal static class StableHash
{
    public static ulong Of(string text)
    {
        Span<byte> buffer = stackalloc byte[512];
        int most = Encoding.UTF8.GetMaxByteCount(text.Length);
        Span<byte> bytes = most <= buffer.Length ? buffer : new byte[most];
        bytes = bytes[..Encoding.UTF8.GetBytes(text, bytes)];
        ulong hash = 0xCBF29CE484222325;
        foreach (byte value in bytes)
        {
            hash = (hash ^ value) * 0x100000001B3;
        }

        hash = (hash ^ (hash >> 33)) * 0xFF51AFD7ED558CCD;
        hash = (hash ^ (hash >> 33)) * 0xC4CEB9FE1A85EC53;
        return hash ^ (hash >> 33);
    }
}
